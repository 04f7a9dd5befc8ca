//! The one pass over all layers of an image: several are read at a time, and they are merged in their order, the lowest first.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{StreamExt, stream};
use tokio_util::io::SyncIoBridge;

use super::index::Index;
use super::interest::{Filter, Interest};
use super::scan::{Scanned, scan, scan_heard};
use super::surveyor::Surveys;
use super::tree::Directory;
use super::{BaseError, BlobReader, Blobs, extract};
use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::Descriptor;
use crate::progress::{Progress, Task, Whole};

/// Layers that are read at one time.
pub(super) const AT_ONCE: usize = 3;
/// What came of a blob; or what failed, and the blob's own error where it was the blob that failed.
type Outcome<T> = Result<T, (io::Error, Option<io::Error>)>;

/// Reads all layers, the lowest first, and gives what `interest` asks for of the merged tree. Compressed bytes are held against `layers`,
/// plain ones against `diff_ids`. In the same pass the layers are surveyed, where that is asked for; a survey that fails is left out.
///
/// # Errors
/// Blobs that cannot be reached, are not what was promised, or hold what no layer may.
pub async fn read(
    layers: &[Descriptor],
    diff_ids: &[Digest],
    blobs: &dyn Blobs,
    interest: &Interest,
    surveys: Option<&Surveys>,
    progress: &dyn Progress,
) -> Result<Index, Error> {
    let filter = Arc::new(Filter::new(interest).map_err(BaseError::Interest)?);
    let stop = Stop::default();
    let whole = Whole::begin(progress, "read the base", layers.iter().map(|layer| layer.size).sum());
    let scans = layers.iter().zip(diff_ids).enumerate().map(|(number, (layer, diff_id))| {
        let task = whole.begin(&format!("base layer {} of {}", number + 1, layers.len()), Some(layer.size));
        read_layer(layer, *diff_id, blobs, filter.clone(), surveys.cloned(), task, stop.0.clone())
    });
    let mut scans = stream::iter(scans).buffered(AT_ONCE);
    let mut tree = Directory::default();
    let mut number = 0;
    while let Some(layer) = scans.next().await {
        layer?.layer.lay_over(&mut tree).map_err(|cause| damaged(&layers[number], &cause))?;
        number += 1;
    }
    extract::index(tree, &filter).map_err(|why| BaseError::TooMuch { why }.into())
}

async fn read_layer(
    layer: &Descriptor,
    diff_id: Digest,
    blobs: &dyn Blobs,
    filter: Arc<Filter>,
    surveys: Option<Surveys>,
    task: Box<dyn Task>,
    stop: Arc<AtomicBool>,
) -> Result<Scanned, Error> {
    let Some(surveys) = surveys else { return scan_layer(layer, diff_id, blobs, filter, task, stop).await };
    let digest = layer.digest;
    let work = move |source| {
        let Some(mut surveyor) = surveys.begin(&digest, diff_id) else { return scan(source, &filter) };
        let scanned = scan_heard(source, &filter, &mut |bytes| surveyor.hear_bytes(bytes))?;
        if scanned.diff_id == diff_id {
            surveyor.keep(&digest, diff_id, scanned.facts.packing, &surveys.store);
        }
        Ok(scanned)
    };
    let scanned = over_blob(layer, blobs, task, stop, work).await?;
    demand_diff_id(layer, scanned.diff_id, diff_id)?;
    Ok(scanned)
}

pub(super) async fn scan_layer(
    layer: &Descriptor,
    diff_id: Digest,
    blobs: &dyn Blobs,
    filter: Arc<Filter>,
    task: Box<dyn Task>,
    stop: Arc<AtomicBool>,
) -> Result<Scanned, Error> {
    let scanned = over_blob(layer, blobs, task, stop, move |source| scan(source, &filter)).await?;
    demand_diff_id(layer, scanned.diff_id, diff_id)?;
    Ok(scanned)
}

/// Does in a thread what `work` does with the bytes of a layer's blob.
pub(super) async fn over_blob<T: Send + 'static>(
    layer: &Descriptor,
    blobs: &dyn Blobs,
    task: Box<dyn Task>,
    stop: Arc<AtomicBool>,
    work: impl FnOnce(Source) -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let reader = blobs.open(layer).await?;
    let done = tokio::task::spawn_blocking(move || in_thread(reader, task, stop, work)).await;
    match done.unwrap_or_else(|panic| Err((io::Error::other(panic.to_string()), None))) {
        Ok(done) => Ok(done),
        Err((cause, None)) => Err(damaged(layer, &cause).into()),
        Err((_, Some(cause))) if cause.kind() == io::ErrorKind::InvalidData => Err(damaged(layer, &cause).into()),
        Err((_, Some(cause))) => Err(BaseError::Read { layer: layer.digest, cause }.into()),
    }
}

/// The tar must be the one that the config names.
pub(super) fn demand_diff_id(layer: &Descriptor, found: Digest, named: Digest) -> Result<(), BaseError> {
    if found == named {
        return Ok(());
    }
    Err(BaseError::Layer { layer: layer.digest, why: format!("its tar has the digest {found}, the config says {named}") })
}

fn in_thread<T>(reader: BlobReader, task: Box<dyn Task>, stop: Arc<AtomicBool>, work: impl FnOnce(Source) -> io::Result<T>) -> Outcome<T> {
    let failure = Arc::new(Mutex::new(None));
    let source = Source { bridge: SyncIoBridge::new(reader), task, stop, failure: failure.clone() };
    work(source).map_err(|error| (error, failure.lock().unwrap_or_else(PoisonError::into_inner).take()))
}

pub(super) fn damaged(layer: &Descriptor, cause: &io::Error) -> BaseError {
    let why = if cause.kind() == io::ErrorKind::UnexpectedEof { "it ends too early".to_owned() } else { cause.to_string() };
    BaseError::Layer { layer: layer.digest, why }
}

/// Ends the threads that still read when nobody waits for them any more.
#[derive(Default)]
pub(super) struct Stop(pub(super) Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A blob for a thread to read. It keeps its own error, so that a failing network can be told from a damaged layer.
pub(super) struct Source {
    bridge: SyncIoBridge<BlobReader>,
    task: Box<dyn Task>,
    stop: Arc<AtomicBool>,
    failure: Arc<Mutex<Option<io::Error>>>,
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("nobody waits for it"));
        }
        let read = self.bridge.read(buffer);
        match read {
            Ok(count) => {
                self.task.advance(count as u64);
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let message = io::Error::new(error.kind(), error.to_string());
                *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Err(message)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{SurveyedLayer, Verified, count_known, known};
    use crate::error::Kind;
    use crate::image_path::ImagePath;
    use crate::manifest::{Compression, Family};
    use crate::progress::Silent;
    use crate::store::Store;
    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;
    use tokio::io::AsyncReadExt;

    /// Blobs in memory; `broken` ends with an error of the network.
    struct Memory {
        blobs: Vec<(Digest, Vec<u8>)>,
        broken: Option<Digest>,
    }

    impl Blobs for Memory {
        fn open<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<BlobReader, Error>> {
            let bytes = self.blobs.iter().find(|(digest, _)| *digest == descriptor.digest).map(|(_, bytes)| bytes.clone()).unwrap();
            let is_broken = self.broken == Some(descriptor.digest);
            async move {
                let bytes = io::Cursor::new(bytes);
                Ok(if is_broken {
                    Box::pin(AsyncReadExt::take(bytes, 600).chain(reset())) as BlobReader
                } else {
                    Box::pin(Verified::new(bytes, descriptor)) as BlobReader
                })
            }
            .boxed()
        }
    }

    fn reset() -> impl tokio::io::AsyncRead + Send + Unpin {
        let failing = stream::once(async { Err::<bytes::Bytes, _>(io::Error::from(io::ErrorKind::ConnectionReset)) });
        tokio_util::io::StreamReader::new(failing.boxed())
    }

    fn tar(name: &str) -> Vec<u8> {
        let mut builder = ::tar::Builder::new(Vec::new());
        let mut header = ::tar::Header::new_ustar();
        header.set_size(0);
        header.set_path(name).unwrap();
        header.set_cksum();
        builder.append(&header, io::empty()).unwrap();
        builder.into_inner().unwrap()
    }

    fn image(names: &[&str]) -> (Vec<Descriptor>, Vec<Digest>, Memory) {
        let tars: Vec<_> = names.iter().map(|name| tar(name)).collect();
        let media_type = Family::Oci.layer(Compression::None).unwrap();
        let layers = tars.iter().map(|tar| Descriptor::new(media_type, Digest::of(tar), tar.len() as u64)).collect();
        let diff_ids: Vec<_> = tars.iter().map(Digest::of).collect();
        (layers, diff_ids.clone(), Memory { blobs: diff_ids.into_iter().zip(tars).collect(), broken: None })
    }

    async fn read_all(image: &(Vec<Descriptor>, Vec<Digest>, Memory)) -> Result<Index, Error> {
        read(&image.0, &image.1, &image.2, &Interest::Everything { digests: false }, None, &Silent).await
    }

    #[tokio::test]
    async fn layers_are_merged_in_their_order() {
        let names = ["a", "b", ".wh.a", "c", "a", ".wh.b", "d"];
        let index = read_all(&image(&names)).await.unwrap();
        assert_eq!(index.iter().map(|(path, _)| path.absolute()).collect::<Vec<_>>(), ["/", "/a", "/c", "/d"]);
        assert_eq!(read_all(&image(&[])).await.unwrap().get(&ImagePath::root()).unwrap().attributes.mode, 0o755);
    }

    #[tokio::test]
    async fn layers_that_are_read_are_surveyed_in_the_same_pass() {
        let (layers, diff_ids, blobs) = image(&["a", "b", ".wh.a"]);
        let directory = tempfile::tempdir().unwrap();
        let patterns = Interest::Everything { digests: false };
        let survey =
            |total| Interest::Survey { content: vec!["b".to_owned()], packed: Vec::new(), largest: 1, largest_packed: 0, largest_script: 0, total };
        let surveys = Surveys { interest: survey(1), store: Store::open(directory.path()).unwrap() };
        let blobs = Arc::new(blobs);
        let index = read(&layers, &diff_ids, &*blobs, &patterns, Some(&surveys), &Silent).await.unwrap();
        assert_eq!(index, read(&layers, &diff_ids, &*blobs, &patterns, None, &Silent).await.unwrap());
        let of = |(layer, diff_id): (&Descriptor, &Digest)| SurveyedLayer { descriptor: layer.clone(), diff_id: *diff_id, blobs: blobs.clone() };
        let layers: Vec<_> = layers.iter().zip(&diff_ids).map(of).collect();
        let kept = known(&layers, &surveys.interest, &surveys.store).await.unwrap();
        let other = tempfile::tempdir().unwrap();
        let read = crate::base::survey(&layers, &surveys.interest, &Store::open(other.path()).unwrap(), &Silent).await.unwrap();
        assert_eq!((kept.index, kept.layers), (read.index, read.layers));
    }

    #[tokio::test]
    async fn a_layer_that_is_not_what_was_promised_is_no_survey() {
        let (layers, diff_ids, mut blobs) = image(&["a"]);
        let directory = tempfile::tempdir().unwrap();
        let surveys = Surveys { interest: Interest::Everything { digests: false }, store: Store::open(directory.path()).unwrap() };
        blobs.blobs[0].1 = tar("b");
        assert!(read(&layers, &diff_ids, &blobs, &surveys.interest, Some(&surveys), &Silent).await.is_err());
        let layer = SurveyedLayer { descriptor: layers[0].clone(), diff_id: diff_ids[0], blobs: Arc::new(blobs) };
        assert_eq!(count_known(&[layer], &surveys.interest, &surveys.store), 0);
    }

    #[tokio::test]
    async fn what_was_not_promised_is_refused() {
        let mut wrong_diff_id = image(&["a", "b"]);
        wrong_diff_id.1[1] = Digest::of("other");
        assert!(read_all(&wrong_diff_id).await.unwrap_err().to_string().contains("the config says"));

        let mut wrong_bytes = image(&["a"]);
        wrong_bytes.2.blobs[0].1 = tar("b");
        let error = read_all(&wrong_bytes).await.unwrap_err();
        assert!(error.to_string().contains("the bytes have the digest") && error.fault().kind() == Kind::Input, "{error}");

        let mut short = image(&["a"]);
        short.2.blobs[0].1.truncate(1024);
        assert!(read_all(&short).await.unwrap_err().to_string().contains("1024 bytes came"));

        let mut long = image(&["a"]);
        long.2.blobs[0].1.push(0);
        assert!(read_all(&long).await.unwrap_err().to_string().contains("more than"));
    }

    #[tokio::test]
    async fn a_failing_network_is_no_damaged_layer() {
        let mut image = image(&["a"]);
        image.2.broken = Some(image.1[0]);
        let error = read_all(&image).await.unwrap_err();
        assert!(error.fault().kind() == Kind::World && error.to_string().contains("cannot be read"), "{error}");
    }
}
