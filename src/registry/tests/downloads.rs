//! Downloads of URLs: resumed, bounded, proved.

use tokio::io::AsyncReadExt;

use super::*;
use crate::digest::Digest;
use crate::error::Error;
use crate::registry::http::{Expected, HttpError, Request};
use crate::registry::testing::{Asked, Trouble};

async fn download(http: &Http, url: &str, expected: Expected) -> Result<Vec<u8>, HttpError> {
    let download = http.download(&Request::get(url.parse().unwrap()), expected).await?;
    let mut all = Vec::new();
    match download.into_reader().read_to_end(&mut all).await {
        Ok(_) => Ok(all),
        Err(error) => match Error::carried_by(error).unwrap().downcast_ref::<HttpError>() {
            Some(HttpError::Digest { url, expected, found }) => Err(HttpError::Digest { url: url.clone(), expected: *expected, found: *found }),
            Some(HttpError::Size { url, expected, found }) => Err(HttpError::Size { url: url.clone(), expected: *expected, found: *found }),
            Some(HttpError::TooLarge { url, limit }) => Err(HttpError::TooLarge { url: url.clone(), limit: *limit }),
            Some(HttpError::Changed { url }) => Err(HttpError::Changed { url: url.clone() }),
            Some(HttpError::Broken { url, received, reason }) => {
                Err(HttpError::Broken { url: url.clone(), received: *received, reason: reason.clone() })
            }
            other => panic!("{other:?}"),
        },
    }
}

#[tokio::test]
async fn a_file_comes_whole_and_proved() {
    let registry = TestRegistry::start();
    let bytes = noise(300_000);
    let url = registry.put_file("/files/x.vsix", "application/zip", bytes.clone());
    for expected in [Expected::at_most(300_000), Expected::exactly(Digest::of(&bytes), 300_000)] {
        assert_eq!(download(&http(), &url, expected).await.unwrap(), bytes);
    }
    let request = Request::get(url.parse().unwrap());
    assert_eq!(http().download(&request, Expected::at_most(1 << 20)).await.unwrap().size(), Some(300_000));
}

#[tokio::test]
async fn wrong_digest_wrong_size_and_too_much_are_errors() {
    let registry = TestRegistry::start();
    let url = registry.put_file("/files/x", "x", noise(1000));
    let digest = Digest::of(noise(1000));
    let of = |digest, size, limit| Expected { digest, size, limit };
    let got = |expected| download_of(&url, expected);
    async fn download_of(url: &str, expected: Expected) -> Result<Vec<u8>, HttpError> {
        download(&http(), url, expected).await
    }
    assert!(matches!(got(of(Some(Digest::of("other")), None, 9999)).await, Err(HttpError::Digest { found, .. }) if found == digest));
    assert!(matches!(got(of(Some(digest), Some(999), 9999)).await, Err(HttpError::Size { found: 1000, .. })));
    assert!(matches!(got(of(Some(digest), None, 999)).await, Err(HttpError::TooLarge { limit: 999, .. })));
    assert!(matches!(got(of(None, None, 999)).await, Err(HttpError::TooLarge { .. })));
    assert!(got(of(Some(digest), None, 1000)).await.is_ok());
    registry.on("/files/unsized", |_| Asked { status: 200, headers: Vec::new(), body: noise(1000).into() });
    assert!(matches!(download(&http(), &registry.url("/files/unsized"), of(None, None, 999)).await, Err(HttpError::TooLarge { .. })));
}

#[tokio::test]
async fn a_refusal_comes_before_the_first_byte() {
    let registry = TestRegistry::start();
    let request = Request::get(registry.url("/files/none").parse().unwrap());
    let error = http().download(&request, Expected::at_most(9)).await.err().unwrap();
    assert_eq!(error.status().unwrap().as_u16(), 404);
}

#[tokio::test]
async fn a_broken_download_goes_on_with_a_range_guarded_by_the_validator() {
    let registry = TestRegistry::start();
    let bytes = noise(400_000);
    let url = registry.put_file("/files/x", "x", bytes.clone());
    for _ in 0..4 {
        registry.order(Trouble::broken_after("GET", "/files/", 90_000));
    }
    assert_eq!(download(&http(), &url, Expected::at_most(1 << 20)).await.unwrap(), bytes);
    let log = registry.log();
    assert_eq!(log.len(), 5);
    assert!(log[1..].iter().all(|logged| logged.headers.contains_key("range") && logged.headers.contains_key("if-range")));
    assert!(log[1..].iter().all(|logged| logged.status == 206));
}

#[tokio::test]
async fn a_server_without_ranges_is_read_again_and_compared() {
    let registry = TestRegistry::start();
    let bytes = noise(400_000);
    let url = registry.put_file("/files/x", "x", bytes.clone());
    registry.order(Trouble::without_ranges("GET", "/files/").always());
    for expected in [Expected::at_most(1 << 20), Expected::exactly(Digest::of(&bytes), 400_000)] {
        registry.order(Trouble::broken_after("GET", "/files/", 200_000).times(2));
        assert_eq!(download(&http(), &url, expected).await.unwrap(), bytes);
    }
    registry.order(Trouble::broken_after("GET", "/files/", 200_000));
    registry.order(Trouble::corrupt("GET", "/files/").times(2));
    // Corrupted from the first byte on both times: the same bytes, so it goes on.
    assert!(download(&http(), &url, Expected::at_most(1 << 20)).await.is_ok());
}

#[tokio::test]
async fn a_file_that_changes_under_way_is_noticed() {
    let registry = TestRegistry::start();
    let url = registry.put_file("/files/x", "x", noise(400_000));
    registry.order(Trouble::without_ranges("GET", "/files/").always());
    registry.order(Trouble::broken_after("GET", "/files/", 200_000));
    let http = http();
    let mut reader = http.download(&Request::get(url.parse().unwrap()), Expected::at_most(1 << 20)).await.unwrap().into_reader();
    reader.read_exact(&mut [0; 1000]).await.unwrap();
    let mut other = noise(400_000);
    other[7] ^= 1;
    registry.put_file("/files/x", "x", other);
    let error = reader.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert!(matches!(Error::carried_by(error).unwrap().downcast_ref(), Some(HttpError::Changed { .. })));
}

#[tokio::test]
async fn a_line_that_always_breaks_is_given_up() {
    let registry = TestRegistry::start();
    let url = registry.put_file("/files/x", "x", noise(400_000));
    registry.order(Trouble::broken_after("GET", "/files/", 1000).always());
    let error = download(&http(), &url, Expected::at_most(1 << 20)).await.unwrap_err();
    assert!(matches!(error, HttpError::Broken { .. }), "{error}");
    assert_eq!(registry.log().len(), 5);
}

#[tokio::test]
async fn a_part_that_was_not_asked_for_is_refused() {
    let registry = TestRegistry::start();
    let url = registry.put_file("/files/x", "x", noise(400_000));
    registry.order(Trouble::broken_after("GET", "/files/", 1000));
    registry.order(Trouble::header("GET", "/files/", "content-range", "bytes 5-399999/400000").always());
    let error = download(&http(), &url, Expected::at_most(1 << 20)).await.unwrap_err();
    assert!(error.to_string().contains("another part"), "{error}");
}

#[test]
fn a_blocking_reader_sees_the_same() {
    let registry = TestRegistry::start();
    let bytes = noise(300_000);
    let url = registry.put_file("/files/x", "x", bytes.clone());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let http = http();
    let download = runtime.block_on(http.download(&Request::get(url.parse().unwrap()), Expected::at_most(1 << 20))).unwrap();
    let _context = runtime.enter();
    let mut reader = tokio_util::io::SyncIoBridge::new(download.into_reader());
    let mut all = Vec::new();
    std::io::copy(&mut reader, &mut all).unwrap();
    assert_eq!(all, bytes);
}
