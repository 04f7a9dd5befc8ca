//! Golden digests of format 1.

/// The digests of one tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Golden<'a> {
    /// Name of the tree.
    pub name: &'a str,
    /// Of the tar, in hexadecimal digits. BuildKit gave it.
    pub diff_id: &'a str,
    /// Of the gzip.
    pub digest: &'a str,
}

/// The digests of all trees, in their order; `hack/golden` has BuildKit make the last one.
pub const GOLDEN: &[Golden<'static>] = &[
    Golden {
        name: "one empty file",
        diff_id: "d83c3f8eae91170fa8dcfd26fecaaba772651e82f763f664a91d74646f0a7cef",
        digest: "902df5b06ee1618d446b36ef2d6aff26f8ea5b75ff6715db905a48c512f9da79",
    },
    Golden {
        name: "one text",
        diff_id: "fa069d1d9c215db630761a8e74e3d63193435d99a7d55709bfde9129dbb55fb5",
        digest: "7a1f2860d547f2f60091c27e879fea2c38ad66f7642632035d517e1a059bbce6",
    },
    Golden {
        name: "empty directories",
        diff_id: "e0cd7279ec8ec7abfaaec8c8b2c92315f5b5968c1c8251fb70f18f834b109c6e",
        digest: "a138d172d0fe4eee82c443bc00aaa870cc48db44459f6232a3393940c2c0f272",
    },
    Golden {
        name: "names that sort apart from their paths",
        diff_id: "171b79b29562050ba6a77a6955df23a5b36d0a4d6cc96d9b1e82a731d9c01ebb",
        digest: "d8f1e2ca34e3b93683d463b021ca4d3a33505348cdb4431831920d345001ab1b",
    },
    Golden {
        name: "many entries",
        diff_id: "731a7c0f4daeb0a83185aecd52d3ed51b8124a0e2e1e6fd7fb3e70635617020b",
        digest: "dae2004c0f446cb32add28ef543e693745eb4613cd83fc0b9307737e107ba056",
    },
    Golden {
        name: "deep directories",
        diff_id: "5cbe75d61b191adfd642fd3e8a7815fb6cb5d771238d9b40d284123c0a9c7699",
        digest: "8f3fd6da5f2f28a75a2bcbdade318ac6705f8ae7bcd8a3974039fe5f73a06deb",
    },
    Golden {
        name: "very deep directories",
        diff_id: "d1d0c9c83e04a50dbd98e5b9c396aeea472342f1b06b610a5a3de80a883c62e0",
        digest: "b678545ad09ff911da297a8333f3f6565675ccb668df20f2cf19400aad4607ec",
    },
    Golden {
        name: "strange characters",
        diff_id: "cf02f4c568a10edd7244fe65a9be2eb88f49e730fd7817e0829b34281e74f37c",
        digest: "773785a3e5a70f24348ca019a76a0643fbee21a32bd3270ad18a646f319ab273",
    },
    Golden {
        name: "strange characters in long names",
        diff_id: "70a6b63b20258c23a48535f2ca3acf8f27480952b3e80fede235ced9c6674b7b",
        digest: "2f3d9c45dde1c9334c3d4257277ea7a059fd6924086898b0ba6fb93491479d01",
    },
    Golden {
        name: "name of 99, 100 and 101 bytes",
        diff_id: "c7e1ccbcde8e8fc22a6ff6a4c9220849165654209d99f0309282bf8384a9bac2",
        digest: "735e0460187e5bf714b4c4927ab978d93ff4124a3e276e217b1c01e227dc7da2",
    },
    Golden {
        name: "directory of 98 to 101 bytes",
        diff_id: "30a64820a5e8a8c6ef24e60b7b653d495349e4b945da2bafcfe954efded3338d",
        digest: "096365f8f8cb6a276bb4bf4950274ea6cc44a1d9647b7b4d628dbf6545e102be",
    },
    Golden {
        name: "name of 255 bytes",
        diff_id: "ea03c0346e0f679f8c9025f35e50f8d0f99ddd952beb56790d52d9d35931e20f",
        digest: "527b2fd343f50bbce1367f38776a326bb5933b935735a06f059f0ebc66de9613",
    },
    Golden {
        name: "long paths with a short name",
        diff_id: "7493c15ad6c639ccdd08141666a1d5cb385a99e39e9d96ee79acfdbbecfd1c87",
        digest: "43d8957af0f2efa7f37f9bc0dc743710a6965a1fc3440dde7fa7996f5341ae20",
    },
    Golden {
        name: "long paths with a name of 99 bytes",
        diff_id: "af335ab41abbbe91492546b0b5815d789e28e8456dc2e68216804d4f90b530fa",
        digest: "de451228dcedc3b1775dcb198276fd230b074575c14635eba26a1d754a6579eb",
    },
    Golden {
        name: "long paths with a name of 100 bytes",
        diff_id: "bbcb3fa475e4d74d3cbf5139f561cf6389f9d13a732ae88590e11959611dd347",
        digest: "24ce503009f85e78e8965f37a2c0b20c9a64499bec53c06c9a8ad03511c075d3",
    },
    Golden {
        name: "long paths with a name of 101 bytes",
        diff_id: "a053f322d71d192d8d76ee99bff835f224b88dc98bbf2077e6cc7cd8cca10a3d",
        digest: "89dd140e930242209750d8daf36177c93bdb2426b4175d2a5c580c8211d39e94",
    },
    Golden {
        name: "long directories",
        diff_id: "d16583fbb4b0fd44341b4639953a9954b35fef964c6561f1bc4e9059fa486026",
        digest: "cb602c1b7f7b7e3eecea10767c1d7b6fb153649d0995efa21811d021d9bbe384",
    },
    Golden {
        name: "long directories with a name of 99 bytes",
        diff_id: "a290a0a4ce7c096234978b6ff21318475ceff3f15e75b86c11b4603452267432",
        digest: "6a3b8ea4f28b4d970e4400d5c7a868829c603cbdf5d27fc3a091c15f01f95cf0",
    },
    Golden {
        name: "long directories with a name of 100 bytes",
        diff_id: "80386dbe1a6574e6d96871cc8120965097281a90786fc7d8015d480e2f2c6e31",
        digest: "88698ed00a7d80bf63c66c22c932bf25c57faedaa25d6263b74bf7e8a14849bc",
    },
    Golden {
        name: "a prefix of 155 bytes and of 156",
        diff_id: "21b77550d2fc744164d5de75f45ae1dcb60536a906222c93c7cb3d0736080f2e",
        digest: "19aced0fab465b29768d872f2e698ff33f7100b30d257e7aae1989931f9d22e1",
    },
    Golden {
        name: "a slash only at the start",
        diff_id: "a592b4994c2dd4f1574106afa86714cc79a0218b7881630f64901ab015f40f4d",
        digest: "466d415ec0569be7f2b96c47f450c5ccc23ec5922a9bda8e9389990d452e268c",
    },
    Golden {
        name: "non-ASCII names",
        diff_id: "aaae76c77754731a3306491d43048102f9d2f6c442864114fa70a1fb000d17ef",
        digest: "df9990a34c5e5c7d4965a5b3c46cfdd49defe6422abc363ed5153854adfd61c3",
    },
    Golden {
        name: "long non-ASCII names",
        diff_id: "7d079338798c4fda9941d9c709d57a0fca353c5b2f104096b04f7ec043b4a063",
        digest: "4ba19e17c504da483bf825a193008aeee8eb726547fd2da6e85bf2c24bb304a9",
    },
    Golden {
        name: "non-ASCII directories",
        diff_id: "0c10ad0805e9fd869afc3790f3bdbc8f13216e30468524c0977d2f3974af6ae3",
        digest: "d8aa3b56fd07c9c4af6a30890e06713b4a54fa48f93b2d38a4a516a953c0fca3",
    },
    Golden {
        name: "a cut at a slash",
        diff_id: "124c7419d3bc8a380b4d4c8e5c6d194b7fe35ebc5d46ccaa67723e32c744843c",
        digest: "4c13bfc91b6481abd85f653c276e00ca15f8c5590942b656689f4ab5c61923c4",
    },
    Golden {
        name: "names that are not UTF-8",
        diff_id: "82d0ca0b1f3fcf520c500e1c910d7f52e1baf5bf63cc7b6ce10dc08fa2e5cabf",
        digest: "57ddc742ae7c96d5833ca337727e2fb11ccf897f12bf687fa4f2be92ba770af2",
    },
    Golden {
        name: "symbolic links",
        diff_id: "58597db4455632adc4948a6ba32e33993ad6ca08e913aaa2c12d5bb71e3f6b43",
        digest: "c5ad94d11821d37eb459f3f13e0cd9644537b5c97b807ed22c72f82cf83b20c1",
    },
    Golden {
        name: "long symbolic links",
        diff_id: "c5bd2fe696b73d6ccde431df05044e803d5d03f878b3d2bbd0e5f93afd46deb5",
        digest: "978ee33674eb2beb106de8a92e464406f1232caebb73c2d6bd54bfb6f7ebe9f6",
    },
    Golden {
        name: "non-ASCII symbolic links",
        diff_id: "245e511065004173baa993b7e24f60b790d19a6c37439a576a3519744f98361b",
        digest: "9e5a5aaf67c65d8e08c0eecac391c5f9b47735f04eddce8b845bb0b7691a0e9e",
    },
    Golden {
        name: "targets cut at slashes",
        diff_id: "3704ed8a20a8b2e1f603e1922cde348813fabca651a7e48ee917a01951c74b5e",
        digest: "dec2597f89d3df03c3b9d57ecd0cf5f1d4447f1f1e4feab4cbd4e88998a8d446",
    },
    Golden {
        name: "long symbolic links with long names",
        diff_id: "ced6ecb8cd54cbb314c17d88ce53bf833f005d4bd5cfacc643f4bd6aad2d51ee",
        digest: "1862d8b2ab099b2d0900263ab1e2508fce9ef90b46891b7ae47aa8da32721f4e",
    },
    Golden {
        name: "owned symbolic links",
        diff_id: "11e9da487fa1e5dea3ee0a5b42d4a80778129854a79200e8a0b5277b797bd003",
        digest: "6e9288aa764fc7ecda31d603cbe9a02a76faf814a19aa209e996d918cad5b8d5",
    },
    Golden {
        name: "hard links in one directory",
        diff_id: "e78b5c0c78eb222ac514161dc2399453bd21c6579ddc6906ed620969a5a836de",
        digest: "b4e85a062ca49d225ed869c516a1500dbebd1d87f52c48cbc9796d5f6235945a",
    },
    Golden {
        name: "hard links across directories",
        diff_id: "71272d15791497df2d6cc596901dc4665ac2c6767816dedce34bea0f16adb2e7",
        digest: "64e65976932c24c7c80acf91ba2d645da66b469642679a1d085eaa276ee87e42",
    },
    Golden {
        name: "hard links in the walk's order, not the paths'",
        diff_id: "8733a6df124c683d510ab7559718f7d65778b20348ccf3c25030343fb6332e2c",
        digest: "64f6dca00679bf22ae285baa8a4628d4627dc8b8c5bd9fb90111788dcd4319c5",
    },
    Golden {
        name: "interleaved hard links",
        diff_id: "d554912def19c52f191e0ba18f975e09db263d4f8d107816448c6476a56fca2e",
        digest: "830f42357540dac60153adf71da9d65a680abc8789c208b975e59eafac186a35",
    },
    Golden {
        name: "long hard links",
        diff_id: "320d979231847cb338d9c864ba9c6c3effb976d5bb26e2d42a85a2a3ce596f1c",
        digest: "095af235b9abe5b6c1df59dbd892dc7b11e9762e91f4c57cfa6574b462708ed5",
    },
    Golden {
        name: "hard links of an empty file",
        diff_id: "730cb0feea9196fa049507c71c1501146fbf7666852a376d9912d99fd515a572",
        digest: "e5918b0f8bf8a4940b3b1e0f629f89a82f98d478e62d48c2053c3aeb2f39680b",
    },
    Golden {
        name: "hard links of a symbolic link",
        diff_id: "aae7d2c47d6feb3d482007092530a61a99c6dc3649c5f898a031c2c044691dd7",
        digest: "392231e47a3af3586efcb908cd62905e94260f09eb8273b92c2760bb1dcfdf43",
    },
    Golden {
        name: "owned hard links",
        diff_id: "34cdbb5f86a028fd5223a252c563462fccad9501a762242c54746f372c460270",
        digest: "4fb59d2a019478523ff1c5542b07f2ba866b69f95fa5475b0424d673dde758f4",
    },
    Golden {
        name: "modes of files",
        diff_id: "e411bc9c7644a15b31c7081452e5766fa91b4d2ded28e7876d830d9b15f39049",
        digest: "29e1514bff436dc1db06dbb98c97a130fd1c5b32f6472c28436bb49a4b5b1abd",
    },
    Golden {
        name: "modes of directories",
        diff_id: "59dd31009971369a9a35882f7ba76a2ea3250310148d857b86ce3898f9b5e650",
        digest: "0eaddd060c1dd361f17cb69c051e58b8168114f1e06e0d986fc51ab1e5229ebb",
    },
    Golden {
        name: "owners of files",
        diff_id: "feb86900fc0f124d6ed305308d1f8d1c20e8b4320c2d8ce991410ea78680ada4",
        digest: "b129a7c956f69f22eadde21cf72861c1217d656904759c39b6d2187407dad47b",
    },
    Golden {
        name: "owners of directories",
        diff_id: "048d8b45db4da96b84476137aa27970084dbdc51fac0fcf198807668061fc2ae",
        digest: "f78ee1900a682fe6a8c09d48a7278dd8caa0ebeed33f1c3e9e18cb2fbf81dcd2",
    },
    Golden {
        name: "a big owner and a long name",
        diff_id: "9a19462f86271bf67e966f8743d64dfe2385d2a7796ce90f01541bde150d554d",
        digest: "42cc9b4149654eb2a178b77551a933d754fa571e501e77630614a8f67d24f0e2",
    },
    Golden {
        name: "setuid with an owner",
        diff_id: "26b7166f77582248028e2979853e93d91a517b734a05605396ad48ff4ca00857",
        digest: "71523fd502bdfae3549ce440ef81ea6021336e40d66b63d834795218502d2f6a",
    },
    Golden {
        name: "times of files",
        diff_id: "8f251dd5c4075d2971461291bf66029deaa100cc54c22c3eda967b1ae16cea75",
        digest: "21b63406dfe1b03f64dda582bcf7ffe73356ecc96096d57a2468442bfd40ffda",
    },
    Golden {
        name: "times of directories",
        diff_id: "451caa7f094f16bfe0b2082d270f9014ff7d58d124245a754532d145e57488ca",
        digest: "da55f6e931c45cca4e3a5389cd4d3be0e8f4ceffde42a5c6aa117d02f911ee64",
    },
    Golden {
        name: "times of symbolic links",
        diff_id: "3ff290beb68eb7ddc862e06e625ed6f89c89b6b2adcd9a54f850370d0cb18d74",
        digest: "1ee6a9484abb337add68ce9f31a28c912e59990f12a2a26bb65f4312dc5e1e8c",
    },
    Golden {
        name: "a far time and a long name",
        diff_id: "b1ce5c5d278b10ac5d8c4a158620b20d17e5d18b291d8e0b80e0e6eb15406b2a",
        digest: "9be67b7496d8af75c51d3d22adb940bc75f8474a5e63e9ccda8ad76b60f5105f",
    },
    Golden {
        name: "capabilities",
        diff_id: "7f8502b8ed3e1b48f0d7f11c22c6c7271063c3154edc7f2ce27ae8281747aee0",
        digest: "ef8752381243667d68d7580ce35b2ca5a194a5c91f5548ec77eae1c374ff0897",
    },
    Golden {
        name: "a capability that holds a newline",
        diff_id: "cd1154738ddf87183144c1ec78ffcb24cca44ea420a6b79b6fd3fa162e6e19be",
        digest: "63e82f2c9c30d9fdec5ae6cde4f7771bedde4a5c94539150c807c12aacb3d52e",
    },
    Golden {
        name: "a capability, a long name, a big owner and a far time",
        diff_id: "90b080349c6c8f467ec99b1c2a922ee43db403a9887e2b97f907a0d9cc4c5f6e",
        digest: "9a60ae476f536100edf886d291e2590b33c1a58e6584264c194c4d72474a1f63",
    },
    Golden {
        name: "a capability on hard links",
        diff_id: "9201105b4382822fd9411693de0b83ac431ab274ba633f8f528b6331aa2d367d",
        digest: "910853314e2ac652e87f3b5ae5022d72cdd78f7ea9afe5171f23e89a0f9166bd",
    },
    Golden {
        name: "a setuid file with a capability",
        diff_id: "c4a8f4668d3ea3e2f61013582db418a57a5f22ed5ad97a979f683e4976846f28",
        digest: "2cfd7638e01585d312f591b81875a7c907b240524138067f67bf5f264c50f645",
    },
    Golden {
        name: "sizes around a block of tar",
        diff_id: "a2c51de57ef988cb33f04f1f71d00d3c9c2f6d6248cf10b69e7e0f80b26a0475",
        digest: "27596ad8c5063fd315f273bcf0d9e121b35620006a08e64bbfd36bef7f236ad6",
    },
    Golden {
        name: "exactly one block of gzip",
        diff_id: "06570e9770726f0e558d2f4690e222cce926f53f785870792203397a225c4961",
        digest: "7a08ee2b3ac38cad177ec9f0caa04d3b81c23de99c69f1299294d9a01e2b26e2",
    },
    Golden {
        name: "one byte more than a block of gzip",
        diff_id: "bcd9fcaa9ed1646c288c64e8fa298db32f45690df56498f8f194c3ed6bbfad88",
        digest: "346922f968f15179d2d9da844c489c5b3db6b2146c28d0ac1e7b0d67d3a3eaa4",
    },
    Golden {
        name: "several blocks of gzip",
        diff_id: "18cf7a8d1c36bf4b08e6ccc503fc0b8cab132b859bc816e906b9c309b44ae83a",
        digest: "17ab87271b1c88bbf010f07de8410be0327ed44db4841d12fbb55cd5104b7ff0",
    },
    Golden {
        name: "everything at once",
        diff_id: "01217fbdc12575039b92e6febb85b1f4c5e62d07fe244742b6aa98964125527d",
        digest: "4a0728f3f33937f49890953c19c159b6588e0e496dbd2eed6d9918d25066ba00",
    },
    Golden {
        name: "times after 2262",
        diff_id: "68f0e25c9164b20febe13fe66170fa97de1e6af170304272ec4b5798c917f19a",
        digest: "53fc24bd6f9b0cb2d910906d92c1848f470353533b6e7953256c9d0b2536bc5e",
    },
    Golden {
        name: "times before 1970",
        diff_id: "356d5ccbf2d25247e9110664d87ecf9de05a756d67c4992cba0d19a45b0d77c3",
        digest: "d29e73eb134ac276bb4b881a8aab9ba6babe3ddb2eddf772b146bdbfab343d53",
    },
    Golden {
        name: "whiteouts",
        diff_id: "528fadbe39cb03868ab68b721f3f21564884c0334c8c05e3c060823cca21c5b5",
        digest: "45fca18ec66dce80fd9c3cfba68c54b0bed0175987424b69244749b18d69abd0",
    },
    Golden {
        name: "whiteouts with long names",
        diff_id: "bb018d74490d7dedbc402babfb9c9d80ae38067afd12a90c606bf2b73285addc",
        digest: "35ba22163f51725cafa332978c5f724d7fa1e1757a0466c5ba448e16a76d20b3",
    },
    Golden {
        name: "a file over 8 GiB",
        diff_id: "641cb466e0a34c3bdaf050e04276c382f791e13e2a47ee1f6d0c8aa7edc3463b",
        digest: "70c818fc4f85393799088afdb78a5a3fc013b882d2dda23e8ee63ac04b843e56",
    },
];

#[cfg(test)]
mod tests {
    use std::io;
    use std::num::NonZeroUsize;

    use super::*;
    use crate::digest::Digesting;
    use crate::layer::pack;
    use crate::layer::specimens::{big_file, far_times, trees, whiteouts};

    #[test]
    fn format_1_is_what_it_was() {
        let mut changed = String::new();
        let mut golden = GOLDEN.iter();
        for (name, tree) in [trees(), far_times(), whiteouts()].into_iter().flatten() {
            let mut layer = Digesting::new(io::sink());
            let packed = pack(&tree, NonZeroUsize::MIN, &mut layer, &|_| {}).unwrap();
            let (diff_id, digest) = (packed.diff_id.hex(), layer.finish().1.hex());
            if golden.next() != Some(&Golden { name, diff_id: &diff_id, digest: &digest }) {
                changed += &format!("    Golden {{ name: {name:?}, diff_id: {diff_id:?}, digest: {digest:?} }},\n");
            }
        }
        assert!(
            changed.is_empty() && golden.next().map(|last| last.name) == Some(big_file().0) && golden.next().is_none(),
            "these are not the committed digests, or not in their order:\n{changed}"
        );
    }
}
