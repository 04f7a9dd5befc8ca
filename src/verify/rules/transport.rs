//! 003–019: how the image travels: media types, packing, ids, size.

use crate::archive::Packing;
use crate::contract::{MAX_ID, limits};
use crate::manifest::{Compression, Descriptor, Family, IndexEntry};
use crate::verify::rule::{Check, Level, Rule};
use crate::verify::{Evidence, Files, Found, Subject};

/// Size of all layers, compressed, above which an app starts slowly.
const LARGE: u64 = 10_000_000_000;
/// Size above which Studio is reported to refuse an image.
const TOO_LARGE: u64 = 32 << 30;
/// Largest layer that a private ECR repository takes.
const LAYER_TOO_LARGE: u64 = 52_000 << 20;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "BYOI003",
        name: "media-types",
        title: "Manifest, config and layers are of one family of media types, OCI or Docker",
        level: Level::Should,
        why: "Some registries refuse a manifest that mixes them, and `docker push` or a copy to ECR fails",
        dockerfile: "build with one exporter and push what it made; `skopeo copy --format v2s2` makes one family of it",
        description: "cannot be broken: byoi writes one family, the base's or that of `--media-types`",
        source: "OCI image specification, Compatibility Matrix",
        check: Check::Documents(media_types),
    },
    Rule {
        id: "BYOI004",
        name: "attestations",
        title: "The image is not reached through an index with attestations",
        level: Level::Should,
        why: "SageMaker's endpoints refuse it with `Unsupported manifest media type`, and a digest copied from ECR's console is that of the index, not of the image",
        dockerfile: "`docker buildx build --provenance=false --sbom=false`",
        description: "cannot be broken: byoi pushes one manifest",
        source: "aws/amazon-sagemaker-feedback#180; moby/buildkit#5480; mlflow/mlflow#13834",
        check: Check::Documents(attestations),
    },
    Rule {
        id: "BYOI005",
        name: "layer-media-type",
        title: "Each layer is packed as its media type says",
        level: Level::Should,
        why: "Some runtimes unpack what the media type promises, fail to pull the image, and the app ends as `InternalFailure`",
        dockerfile: "push again with the tool that built the image; a copy through another tool changed media types without the bytes",
        description: "cannot be broken for byoi's own layers; take another base where it is one of the base's",
        source: "OCI image specification, Image Layer Filesystem Changeset, Distributable Format",
        check: Check::Upper(layer_media_type),
    },
    Rule {
        id: "BYOI006",
        name: "zstd",
        title: "Layers are compressed with gzip",
        level: Level::Should,
        why: "Nothing says that Studio unpacks zstd, and SOCI, which lets large images start in half the time, indexes gzip alone",
        dockerfile: "`docker buildx build --output type=registry,compression=gzip,force-compression=true`",
        description: "cannot be broken for byoi's own layers; take a base with gzip layers",
        source: "awslabs/soci-snapshotter, Limitations; AWS documentation, SOCI indexing for Studio",
        check: Check::Documents(zstd),
    },
    Rule {
        id: "BYOI010",
        name: "large-ids",
        title: "No file of any layer has a user or group id above 65535",
        level: Level::Must,
        why: "The app fails to start although the final file system looks fine: ids are remapped when layers are unpacked, and a layer with a larger one cannot be, also where a later layer deletes the file",
        dockerfile: "`chown` in the same RUN that makes the files (`tar --no-same-owner`); a later RUN leaves the old layer as it is",
        description: "set `owner` of the [[file]]; a base with such a layer has to be flattened or replaced",
        source: "aws-samples/sagemaker-studio-custom-image-samples, DEVELOPMENT.md and #7; SageMaker API, FileSystemConfig (DefaultUid, DefaultGid at most 65535)",
        check: Check::Upper(large_ids),
    },
    Rule {
        id: "BYOI011",
        name: "layer-count",
        title: "The image has at most 127 layers",
        level: Level::Must,
        why: "The runtime cannot mount it: `max depth exceeded`",
        dockerfile: "join RUN and COPY instructions, or flatten the base",
        description: "lower `image.layers`, or flatten the base",
        source: "Linux, overlayfs; moby, `maxLayerDepth`",
        check: Check::Documents(layer_count),
    },
    Rule {
        id: "BYOI012",
        name: "size-limit",
        title: "The image is at most 32 GiB, and each layer at most 52000 MiB, compressed",
        level: Level::Must,
        why: "ECR refuses the layer, or the app ends as `InternalFailure` after its time to start is over",
        dockerfile: "delete caches in the RUN that makes them, build in stages, split the image by purpose",
        description: "leave packages and files out, or take a smaller base",
        source: "Amazon ECR service quotas (layer size); users' reports of Studio's limit",
        check: Check::Documents(size_limit),
    },
    Rule {
        id: "BYOI013",
        name: "size",
        title: "The image is at most 10 GB, compressed",
        level: Level::Should,
        why: "Each start of the app pulls it: some minutes for each 5 GB, and an app that is not healthy after fifteen minutes fails",
        dockerfile: "delete caches in the RUN that makes them, build in stages; index it with SOCI",
        description: "leave packages and files out, or take a smaller base; index it with SOCI",
        source: "AWS blog on SOCI for SageMaker Studio; aws/sagemaker-distribution#538",
        check: Check::Documents(size),
    },
];

fn media_types(evidence: &Evidence) -> Vec<Found> {
    let family = evidence.manifest.family;
    let (name, other) = match family {
        Family::Oci => ("application/vnd.oci.", "an OCI manifest"),
        Family::Docker => ("application/vnd.docker.", "a Docker manifest"),
    };
    let is_foreign = |descriptor: &&Descriptor| !descriptor.media_type.starts_with(name);
    let config = Some(&evidence.manifest.config).into_iter();
    let foreign: Vec<&Descriptor> = config.chain(&evidence.manifest.layers).filter(is_foreign).collect();
    let Some(first) = foreign.first() else { return Vec::new() };
    vec![Found::at(Subject::Manifest, format!("{other} has {} parts of the other family, such as {}", foreign.len(), first.media_type))]
}

fn attestations(evidence: &Evidence) -> Vec<Found> {
    let is_attestation = |entry: &&IndexEntry| {
        let kind = entry.descriptor.annotations.get("vnd.docker.reference.type").map(String::as_str);
        kind == Some("attestation-manifest") || entry.platform.as_deref() == Some("unknown/unknown")
    };
    match evidence.index_entries.iter().filter(is_attestation).count() {
        0 => Vec::new(),
        count => vec![Found::at(Subject::Index, format!("{count} of its {} entries are attestations", evidence.index_entries.len()))],
    }
}

fn layer_media_type(evidence: &Evidence, files: &Files) -> Vec<Found> {
    let wrong = files.layers_of(&evidence.manifest).filter_map(|(number, layer, facts)| {
        let promised = match layer.compression()? {
            Compression::None => Packing::Plain,
            Compression::Gzip => Packing::Gzip,
            Compression::Zstd => Packing::Zstd,
        };
        let what = format!("its media type is {}, its bytes are {}", layer.media_type, named(facts.packing));
        (promised != facts.packing).then(|| Found::at(Subject::Layer(number, layer.digest), what))
    });
    wrong.collect()
}

fn named(packing: Packing) -> &'static str {
    match packing {
        Packing::Plain => "a plain tar",
        Packing::Gzip => "packed with gzip",
        Packing::Zstd => "packed with zstd",
        Packing::Xz => "packed with xz",
        Packing::Bzip2 => "packed with bzip2",
        Packing::Zip => "a zip archive",
    }
}

fn zstd(evidence: &Evidence) -> Vec<Found> {
    let layers = &evidence.manifest.layers;
    match layers.iter().filter(|layer| layer.compression() == Some(Compression::Zstd)).count() {
        0 => Vec::new(),
        count => vec![Found::at(Subject::Manifest, format!("{count} of {} layers are compressed with zstd", layers.len()))],
    }
}

fn large_ids(evidence: &Evidence, files: &Files) -> Vec<Found> {
    let broken = files.layers_of(&evidence.manifest).filter(|(_, _, facts)| facts.large_ids > 0);
    broken
        .map(|(number, layer, facts)| {
            let examples = facts.large_id_examples.iter().map(|(path, uid, gid)| format!("{} {uid}:{gid}", path.absolute()));
            let what = format!("{} entries have an id above {MAX_ID}: {}", facts.large_ids, examples.collect::<Vec<_>>().join(", "));
            Found::at(Subject::Layer(number, layer.digest), what)
        })
        .collect()
}

fn layer_count(evidence: &Evidence) -> Vec<Found> {
    let count = evidence.manifest.layers.len();
    if count <= limits::LAYERS {
        return Vec::new();
    }
    vec![Found::at(Subject::Manifest, format!("the image has {count} layers"))]
}

fn total(evidence: &Evidence) -> u64 {
    evidence.manifest.layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.size))
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

fn size_limit(evidence: &Evidence) -> Vec<Found> {
    let mut found = Vec::new();
    if total(evidence) > TOO_LARGE {
        found.push(Found::at(Subject::Manifest, format!("the layers come to {}", gigabytes(total(evidence)))));
    }
    let layers = evidence.manifest.layers.iter().enumerate().filter(|(_, layer)| layer.size > LAYER_TOO_LARGE);
    found.extend(layers.map(|(number, layer)| Found::at(Subject::Layer(number + 1, layer.digest), format!("it has {}", gigabytes(layer.size)))));
    found
}

fn size(evidence: &Evidence) -> Vec<Found> {
    let total = total(evidence);
    // What is over the limit is said once.
    if !(LARGE..=TOO_LARGE).contains(&total) {
        return Vec::new();
    }
    vec![Found::at(Subject::Manifest, format!("the layers come to {}", gigabytes(total)))]
}
