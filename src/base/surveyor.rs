//! Surveys a layer while its tar goes by on another way: to a compressor, or to another reader. What the survey costs is a thread that looks at
//! headers and at the heads of files. Whatever becomes of it is nobody's error: without a survey the layer is read when somebody asks for it.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use bytes::{Buf, Bytes, BytesMut};

use super::facts::LayerFacts;
use super::interest::{Filter, Interest};
use super::kept::{is_known, remember};
use super::layer::Layer;
use super::scan::{Scanned, scan_tar};
use crate::archive::Packing;
use crate::digest::Digest;
use crate::store::Store;

/// Blocks that wait for the thread.
const WAITING: usize = 2;
/// Size of a block that is put together here.
const BLOCK: usize = 1 << 20;

/// What is to be kept of layers that are read for another reason, and where.
#[derive(Clone)]
pub struct Surveys {
    /// What.
    pub interest: Interest,
    /// Where.
    pub store: Store,
}

impl Surveys {
    /// Begins the survey of a layer, unless it is there.
    pub(super) fn begin(&self, layer: &Digest, diff_id: Digest) -> Option<Surveyor> {
        if is_known(layer, diff_id, &self.interest, &self.store) { None } else { Surveyor::begin(&self.interest) }
    }
}

/// Surveys one layer.
pub struct Surveyor {
    interest: Interest,
    /// None once there is nothing more to send, or nobody who listens.
    blocks: Option<SyncSender<Bytes>>,
    heard: u64,
    /// The beginning of a block.
    rest: BytesMut,
    thread: Option<JoinHandle<io::Result<(Layer, LayerFacts)>>>,
}

impl Surveyor {
    /// Starts the thread; none where that cannot be.
    pub fn begin(interest: &Interest) -> Option<Self> {
        let filter = Filter::new(interest).ok()?;
        let (blocks, heard) = sync_channel(WAITING);
        let thread = Builder::new().name("survey".into()).spawn(move || scan_tar(Blocks { heard, block: Bytes::new() }, &filter)).ok()?;
        Some(Surveyor { interest: interest.clone(), blocks: Some(blocks), heard: 0, rest: BytesMut::new(), thread: Some(thread) })
    }

    /// Takes the next block of the tar.
    pub fn hear(&mut self, block: &Bytes) {
        self.heard += block.len() as u64;
        if self.blocks.as_ref().is_some_and(|blocks| blocks.send(block.clone()).is_err()) {
            self.blocks = None;
        }
    }

    /// Takes the next bytes of the tar, however few: they are copied.
    pub fn hear_bytes(&mut self, mut bytes: &[u8]) {
        while self.blocks.is_some() && !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - self.rest.len()));
            self.rest.extend_from_slice(now);
            bytes = later;
            if self.rest.len() == BLOCK {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        if !self.rest.is_empty() {
            let block = self.rest.split().freeze();
            self.hear(&block);
        }
    }

    /// Keeps the survey in the store, for the layer of this digest and diff id; whether it is there. The tar has to be at its end.
    pub fn keep(mut self, layer: &Digest, diff_id: Digest, packing: Packing, store: &Store) -> bool {
        let Some(Ok((tree, facts))) = self.end() else { return false };
        let facts = LayerFacts { packing, unpacked: self.heard, ..facts };
        remember(&self.interest.key(layer), &Scanned { layer: tree, diff_id, facts }, store).is_ok()
    }

    /// Waits for the thread; none where it failed.
    fn end(&mut self) -> Option<io::Result<(Layer, LayerFacts)>> {
        self.flush();
        self.blocks = None;
        self.thread.take()?.join().ok()
    }
}

/// No thread outlives what it listens to.
impl Drop for Surveyor {
    fn drop(&mut self) {
        self.end();
    }
}

/// The blocks that were heard, to read.
struct Blocks {
    heard: Receiver<Bytes>,
    block: Bytes,
}

impl Read for Blocks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.block.is_empty() {
            match self.heard.recv() {
                Ok(block) => self.block = block,
                Err(_) => return Ok(0),
            }
        }
        let count = buffer.len().min(self.block.len());
        self.block.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{SurveyedLayer, count_known, known};
    use crate::image_path::ImagePath;
    use crate::manifest::{Compression, Descriptor, Family};

    fn interest(total: u64) -> Interest {
        let content = vec!["etc/passwd".to_owned()];
        Interest::Survey { content, packed: Vec::new(), largest: 1 << 20, largest_packed: 0, largest_script: 1 << 20, total }
    }

    fn tar() -> Vec<u8> {
        let mut builder = ::tar::Builder::new(Vec::new());
        let large = vec![7; 3 << 20];
        for (name, content) in [("etc/passwd", &b"root:x:0:0::/:/bin/sh\n"[..]), ("opt/large", &large), ("opt/run", b"#!/bin/sh\nexec run\n")] {
            let mut header = ::tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o755);
            builder.append_data(&mut header, name, content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    /// As a layer of a registry that nobody asks.
    struct Nobody;

    impl crate::base::Blobs for Nobody {
        fn open<'a>(&'a self, _: &'a Descriptor) -> futures_util::future::BoxFuture<'a, Result<crate::base::BlobReader, crate::error::Error>> {
            panic!("nothing is to be read")
        }
    }

    fn layer(tar: &[u8]) -> SurveyedLayer {
        let media_type = Family::Oci.layer(Compression::None).unwrap();
        let descriptor = Descriptor::new(media_type, Digest::of(tar), tar.len() as u64);
        SurveyedLayer { descriptor, diff_id: Digest::of(tar), blobs: std::sync::Arc::new(Nobody) }
    }

    /// Hears the tar in blocks of this size, and keeps the survey.
    fn heard(tar: &[u8], block: usize, interest: &Interest, store: &Store) -> bool {
        let mut surveyor = Surveyor::begin(interest).unwrap();
        tar.chunks(block).for_each(|block| surveyor.hear(&Bytes::copy_from_slice(block)));
        surveyor.keep(&Digest::of(tar), Digest::of(tar), Packing::Plain, store)
    }

    #[test]
    fn what_is_heard_is_what_a_reader_of_the_blob_finds() {
        let tar = tar();
        let interest = interest(1 << 20);
        let read = super::super::scan::scan(&tar[..], &Filter::new(&interest).unwrap()).unwrap();
        for block in [1000, 1 << 20, (1 << 20) + 512] {
            let mut surveyor = Surveyor::begin(&interest).unwrap();
            match block {
                1000 => tar.chunks(block).for_each(|block| surveyor.hear(&Bytes::copy_from_slice(block))),
                _ => tar.chunks(block).for_each(|bytes| surveyor.hear_bytes(bytes)),
            }
            let (layer, facts) = surveyor.end().unwrap().unwrap();
            assert_eq!((layer, LayerFacts { unpacked: surveyor.heard, ..facts }), (read.layer.clone(), read.facts.clone()));
        }
    }

    #[tokio::test]
    async fn a_layer_that_was_heard_is_known() {
        let (directory, tar) = (tempfile::tempdir().unwrap(), tar());
        let (store, interest) = (Store::open(directory.path()).unwrap(), interest(1 << 20));
        let layers = [layer(b"below"), layer(&tar)];
        assert!(known(&layers, &interest, &store).await.is_none());
        assert!(heard(&tar, 1 << 20, &interest, &store));
        assert_eq!(count_known(&layers, &interest, &store), 1);
        let survey = known(&layers, &interest, &store).await.unwrap();
        assert_eq!(survey.layers.len(), 1);
        assert_eq!(survey.index.content(&ImagePath::literal("/opt/run")), Some(&b"#!/bin/sh\nexec run\n"[..]));
        assert!(survey.index.get(&ImagePath::literal("/opt/large")).is_some());
        // Of what is unknown nothing above counts for what is below it, and another diff id is another layer.
        assert_eq!(count_known(&[layer(&tar), layer(b"above")], &interest, &store), 0);
        let other = SurveyedLayer { diff_id: Digest::of("other"), ..layer(&tar) };
        assert_eq!(count_known(std::slice::from_ref(&other), &interest, &store), 0);
        assert!(known(&[other], &interest, &store).await.is_none());
    }

    #[test]
    fn a_survey_that_cannot_be_is_nobodys_error() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        assert!(!heard(&tar(), 1 << 20, &interest(3), &store), "too much content");
        assert!(!heard(&vec![1; 8 << 20], 1 << 20, &interest(1 << 20), &store), "no tar");
        assert!(!heard(&tar()[..5000], 1 << 10, &interest(1 << 20), &store), "an end that comes early");
        drop(Surveyor::begin(&interest(1)));
    }
}
