//! Single requests: attempts, waits, redirects, limits.

use super::*;
use crate::error::Fault;
use crate::registry::http::{HttpError, Request};
use crate::registry::testing::{Asked, Trouble};

fn get(url: &str) -> Request {
    Request::get(url.parse().unwrap())
}

#[tokio::test]
async fn what_is_temporary_is_tried_five_times() {
    let registry = TestRegistry::start();
    let url = registry.put_file("/x", "text/plain", "hello");
    for status in [408, 429, 500, 502, 503, 504] {
        registry.clear_log();
        registry.calm();
        registry.order(Trouble::status("GET", "/x", status).times(4));
        assert_eq!(http().fetch(&get(&url), 10).await.unwrap().body, "hello");
        assert_eq!(registry.log().len(), 5);
        registry.order(Trouble::answer("GET", "/x", status, "out of order").always());
        let error = http().fetch(&get(&url), 10).await.unwrap_err();
        assert!(error.status().unwrap() == status && error.to_string().contains("out of order"), "{error}");
        assert_eq!(registry.log().len(), 10);
    }
}

#[tokio::test]
async fn what_is_final_is_tried_once() {
    let registry = TestRegistry::start();
    for status in [400, 401, 403, 404, 409, 501] {
        registry.clear_log();
        registry.order(Trouble::status("GET", "/x", status));
        assert_eq!(http().fetch(&get(&registry.url("/x")), 10).await.unwrap().status, status);
        assert_eq!(registry.log().len(), 1);
    }
}

#[tokio::test]
async fn retry_after_is_waited_for() {
    let registry = TestRegistry::start();
    let url = registry.put_file("/x", "text/plain", "hello");
    let mut options = hasty();
    options.retry.longest_retry_after = Duration::from_millis(7);
    registry.order(Trouble::status("GET", "/x", 429).with("retry-after", "3600"));
    registry.order(Trouble::status("GET", "/x", 503).with("retry-after", "Tue, 31 Dec 2199 23:59:59 GMT"));
    registry.order(Trouble::status("GET", "/x", 503));
    let (http, seen) = watched_http(options);
    http.fetch(&get(&url), 10).await.unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.iter().map(|retrying| retrying.attempt).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!([seen[0].wait, seen[1].wait], [Duration::from_millis(7); 2]);
    assert!(seen[2].wait < Duration::from_millis(7) && seen[0].reason.contains("429"));
}

#[tokio::test]
async fn a_dropped_connection_and_a_broken_body_are_tried_again() {
    let registry = TestRegistry::start();
    let url = registry.put_file("/x", "text/plain", "hello");
    registry.order(Trouble::drop("GET", "/x"));
    registry.order(Trouble::broken_after("GET", "/x", 3));
    assert_eq!(http().fetch(&get(&url), 10).await.unwrap().body, "hello");
    assert_eq!(registry.log().len(), 3);
}

#[tokio::test]
async fn nobody_there_is_an_error_that_says_so() {
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let error = http().fetch(&get(&format!("http://127.0.0.1:{port}/x?token=hunter2")), 10).await.unwrap_err();
    assert!(error.to_string().contains("refused") && error.is_temporary(), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[tokio::test]
async fn silence_is_not_waited_for_endlessly() {
    let registry = TestRegistry::start();
    let url = registry.put_file("/x", "text/plain", "hello");
    registry.order(Trouble::delay("GET", "/x", Duration::from_secs(3600)));
    let http = Http::new(HttpOptions { idle_timeout: Duration::from_millis(200), ..hasty() }).unwrap();
    assert_eq!(http.fetch(&get(&url), 10).await.unwrap().body, "hello");
    assert_eq!(registry.log().len(), 2);
}

#[tokio::test]
async fn bodies_have_a_limit_stated_or_not() {
    let registry = TestRegistry::start();
    let url = registry.put_file("/x", "text/plain", noise(100));
    assert!(http().fetch(&get(&url), 100).await.is_ok());
    assert!(matches!(http().fetch(&get(&url), 99).await, Err(HttpError::TooLarge { .. })));
    registry.order(Trouble::broken_after("GET", "/x", 1000));
    assert!(matches!(http().fetch(&get(&url), 99).await, Err(HttpError::TooLarge { .. })));
}

#[tokio::test]
async fn redirects_are_followed_and_authorization_stays_behind() {
    let (first, second) = (TestRegistry::start(), TestRegistry::start());
    second.put_file("/x", "text/plain", "hello");
    first.order(Trouble::redirect("GET", "/x", &second.url("")).always());
    let request = get(&first.url("/x")).authorization(Some(Secret::new("Bearer hunter2")));
    let fetched = http().fetch(&request, 10).await.unwrap();
    assert_eq!((fetched.body.as_ref(), fetched.url.as_str()), (&b"hello"[..], second.url("/x?signature=secret").as_str()));
    assert_eq!(first.log()[0].headers["authorization"], "Bearer hunter2");
    assert!(!second.log()[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn authorization_that_was_left_behind_does_not_come_back() {
    let (first, second) = (TestRegistry::start(), TestRegistry::start());
    first.put_file("/y", "text/plain", "hello");
    let target = first.url("/y");
    first.order(Trouble::redirect("GET", "/x", &second.url("")));
    second.on("/x", move |_| Asked { status: 302, headers: vec![("location".to_owned(), target.clone())], body: Default::default() });
    http().fetch(&get(&first.url("/x")).authorization(Some(Secret::new("Bearer hunter2"))), 10).await.unwrap();
    assert!(!first.log()[1].headers.contains_key("authorization"));
}

#[tokio::test]
async fn authorization_goes_along_inside_one_origin() {
    let registry = TestRegistry::start();
    registry.put_file("/y", "text/plain", "hello");
    registry.on("/x", |_| Asked { status: 301, headers: vec![("location".to_owned(), "y".to_owned())], body: Default::default() });
    http().fetch(&get(&registry.url("/x")).authorization(Some(Secret::new("Bearer hunter2"))), 10).await.unwrap();
    assert_eq!(registry.log()[1].headers["authorization"], "Bearer hunter2");
}

#[tokio::test]
async fn redirects_in_a_circle_end() {
    let registry = TestRegistry::start();
    registry.order(Trouble::redirect("GET", "/x", &registry.url("")).always());
    assert!(matches!(http().fetch(&get(&registry.url("/x")), 10).await, Err(HttpError::Redirect { .. })));
    assert_eq!(registry.log().len(), 11);
}

#[tokio::test]
async fn credentials_are_not_sent_in_the_open() {
    let request = get("http://registry.example/x").authorization(Some(Secret::new("Bearer hunter2")));
    let http = http();
    let error = http.fetch(&request, 10).await.unwrap_err();
    assert!(matches!(error, HttpError::Url { .. }) && http.traffic().requests == 0, "{error}");
}

#[tokio::test]
async fn more_requests_than_places_all_get_their_turn() {
    let registry = TestRegistry::start();
    let url = registry.put_file("/x", "text/plain", "hello");
    let http = http();
    let all: Vec<_> = (0..60)
        .map(|_| {
            let (http, request) = (http.clone(), get(&url));
            tokio::spawn(async move { http.fetch(&request, 10).await })
        })
        .collect();
    for one in all {
        assert_eq!(one.await.unwrap().unwrap().body, "hello");
    }
    assert_eq!(http.traffic().requests, 60);
}

#[test]
fn every_future_may_change_threads() {
    fn is_send<T: Send>(_: T) {}
    let (client, registry) = (client(), TestRegistry::start());
    let reference = at(&registry, "x:1");
    let digest = crate::digest::Digest::of("");
    let descriptor = crate::manifest::Descriptor::new("x", digest, 0);
    is_send(client.manifest(&reference));
    is_send(client.manifest_if_present(&reference));
    is_send(client.blob(&reference, &descriptor));
    is_send(client.small_blob(&reference, &descriptor, 1));
    is_send(client.has_blob(&reference, &digest));
    is_send(client.mount(&reference, &reference, &digest));
    is_send(client.copy_blob(&reference, &reference, &descriptor));
    is_send(client.push_manifest(&reference, "", "x"));
}
