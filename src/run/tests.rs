//! The steps, with an engine of which every answer is known: builds that no test can start, and engines that fail.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::engine::{Engine, Said, Start, State};
use super::listeners::Listeners;
use super::report::{Name, Outcome, Report, Step};
use super::steps::{Options, judge};
use crate::error::{Error, Kind};

/// An editor that answers these paths with 200, and others with 404.
struct Editor {
    pages: Vec<&'static str>,
    websocket: u16,
}

/// What a container is like.
#[derive(Clone)]
struct Fake {
    address: SocketAddr,
    listeners: Option<Listeners>,
    /// States and refusals of the starts, one after the other; then it runs.
    starts: Vec<Result<State, &'static str>>,
    log: &'static str,
    version: &'static str,
    product: &'static str,
    arguments: &'static str,
    shipped: &'static str,
    listed: &'static str,
    places: &'static str,
}

struct FakeEngine {
    fake: Fake,
    state: Mutex<State>,
}

const SAGEMAKER: &str = r#"{"sagemakerCodeEditorVersion": "1.10.1"}"#;
const ARGUMENTS: &str = "--host\x000.0.0.0\0--base-path\0/codeeditor/default\0";
const ANY: &str = "0: 00000000:22B8 0:0 0A";
const HOME: &str = r#"{"home": "/home/sagemaker-user", "data": "/home/sagemaker-user/data", "denied": []}"#;
/// What SageMaker's builds answer.
const PAGES: [&str; 5] = ["/", "/version", "/codeeditor/default", "/healthz", "/api/idle"];

impl Fake {
    /// A container with SageMaker's newest build, and an image that ships one extension.
    async fn with(editor: Editor) -> Self {
        Fake {
            address: editor.serve().await,
            listeners: Some(Listeners::read(ANY)),
            starts: Vec::new(),
            log: "",
            version: "1.119.1\nabc\nx64\n",
            product: SAGEMAKER,
            arguments: ARGUMENTS,
            shipped: "a.b@1.0.0\n",
            listed: "a.b@1.0.0\n",
            places: HOME,
        }
    }

    async fn judge(self) -> Result<BTreeMap<Name, Outcome>, Error> {
        self.judge_on(false).await
    }

    async fn judge_on(self, used_home: bool) -> Result<BTreeMap<Name, Outcome>, Error> {
        let mut engine = FakeEngine { fake: self, state: Mutex::new(State::Running) };
        let told = Mutex::new(Vec::new());
        let options = Options { patience: Duration::from_millis(300), used_home };
        let tell = |step: &Step| told.lock().unwrap().push(step.clone());
        let Report { steps } = judge(&mut engine, &["/entry".to_owned()], &options, &tell).await?;
        assert_eq!(steps, told.into_inner().unwrap());
        assert_eq!(steps.iter().map(|step| step.name).collect::<Vec<_>>(), Name::ALL);
        Ok(steps.into_iter().map(|step| (step.name, step.outcome)).collect())
    }
}

impl Editor {
    fn of(pages: &[&'static str]) -> Self {
        Editor { pages: pages.to_vec(), websocket: 101 }
    }

    async fn serve(self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4096];
                let count = stream.read(&mut request).await.unwrap_or_default();
                let request = String::from_utf8_lossy(&request[..count]).into_owned();
                let path = request.split(' ').nth(1).unwrap_or_default();
                let status = match request.contains("Upgrade: websocket") {
                    true => self.websocket,
                    false if self.pages.contains(&path) => 200,
                    false => 404,
                };
                let answer = format!("HTTP/1.1 {status} x\r\nContent-Type: text/html\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        address
    }
}

#[async_trait]
impl Engine for FakeEngine {
    fn name(&self) -> String {
        "fake".to_owned()
    }

    async fn start(&mut self) -> Result<Start, Error> {
        let start = if self.fake.starts.is_empty() { Ok(State::Running) } else { self.fake.starts.remove(0) };
        match start {
            Ok(state) => *self.state.lock().unwrap() = state,
            Err(message) => return Ok(Start::Refused(message.to_owned())),
        }
        Ok(Start::Begun)
    }

    async fn state(&self) -> Result<State, Error> {
        Ok(self.state.lock().unwrap().clone())
    }

    async fn listeners(&self) -> Option<Listeners> {
        match *self.state.lock().unwrap() {
            State::Running => self.fake.listeners.clone(),
            State::Ended(_) => Some(Listeners::default()),
        }
    }

    async fn address(&self) -> Result<SocketAddr, Error> {
        Ok(self.fake.address)
    }

    async fn exec(&self, words: &[&str]) -> Result<Said, Error> {
        let out = match words {
            ["sh", ..] => format!("7 /opt/node\nnode\0/opt/out/server-main.js\0{}\n", self.fake.arguments),
            ["cat", "/opt/product.json"] => self.fake.product.to_owned(),
            [.., "--version"] => self.fake.version.to_owned(),
            [_, "-e", _, "7", ..] => self.fake.places.to_owned(),
            [_, "-e", ..] => self.fake.shipped.to_owned(),
            [_, _, "--list-extensions", ..] => self.fake.listed.to_owned(),
            other => panic!("{other:?}"),
        };
        Ok(Said { success: true, out, err: String::new() })
    }

    async fn log(&self) -> Result<String, Error> {
        Ok(self.fake.log.to_owned())
    }

    async fn stop(&mut self) -> Result<i64, Error> {
        Ok(143)
    }
}

fn is_passed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Passed(_))
}

fn is_skipped(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Skipped(_))
}

/// The name in JSON of a failure's cause, and what is said of it.
fn failure(outcome: &Outcome) -> (String, &str) {
    match outcome {
        Outcome::Failed(diagnosis) => (serde_json::to_value(diagnosis.cause).unwrap().as_str().unwrap().to_owned(), &diagnosis.what),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn sagemakers_newest_build_passes_all() {
    let steps = Fake::with(Editor::of(&PAGES)).await.judge().await.unwrap();
    assert!(steps.values().all(is_passed), "{steps:#?}");
}

#[tokio::test]
async fn sagemakers_builds_must_answer_what_others_may_lack() {
    let fake = Fake::with(Editor::of(&PAGES[..3])).await;
    let others = Fake { product: "{}", ..fake.clone() }.judge().await.unwrap();
    assert!(is_skipped(&others[&Name::Health]) && is_skipped(&others[&Name::Idle]));
    let theirs = fake.judge().await.unwrap();
    for name in [Name::Health, Name::Idle] {
        assert_eq!(failure(&theirs[&name]).0, "wrong-answer");
    }
}

#[tokio::test]
async fn builds_before_1_8_leave_the_base_path_to_the_proxy() {
    let fake = Fake { version: "1.90.1\n", ..Fake::with(Editor::of(&["/", "/version", "/api/idle"])).await };
    let right = fake.clone().judge().await.unwrap();
    assert!(is_skipped(&right[&Name::BasePath]) && is_skipped(&right[&Name::Health]) && is_passed(&right[&Name::Websocket]), "{right:#?}");
    for arguments in ["", "--base-path=/editor\0"] {
        let wrong = Fake { arguments, log: "Web UI available at http://localhost:8888/editor?x\n", ..fake.clone() }.judge().await.unwrap();
        let (cause, what) = failure(&wrong[&Name::BasePath]);
        assert!(cause == "wrong-base-path" && what.contains("it serves /editor"), "{what}");
    }
}

#[tokio::test]
async fn the_documented_spelling_passes() {
    let steps = Fake::with(Editor::of(&["/", "/version", "/CodeEditor/default", "/healthz", "/api/idle"])).await.judge().await.unwrap();
    assert!(matches!(&steps[&Name::BasePath], Outcome::Passed(seen) if seen.contains("/CodeEditor/default")));
}

#[tokio::test]
async fn a_token_in_the_log_is_seen_and_not_repeated() {
    let fake = Fake { log: "Web UI available at http://localhost:8888/?tkn=secret\n", ..Fake::with(Editor::of(&PAGES)).await };
    let steps = fake.judge().await.unwrap();
    let (cause, what) = failure(&steps[&Name::Token]);
    assert!(cause == "token-on" && what.contains("tkn=…") && !what.contains("secret"), "{what}");
}

#[tokio::test]
async fn a_refused_websocket_fails() {
    let steps = Fake::with(Editor { websocket: 403, ..Editor::of(&PAGES) }).await.judge().await.unwrap();
    assert!(failure(&steps[&Name::Websocket]).1.contains("refused with 403"));
}

#[tokio::test]
async fn where_the_container_does_not_tell_an_answer_tells() {
    let fake = Fake { listeners: None, ..Fake::with(Editor::of(&PAGES)).await };
    assert!(is_passed(&fake.clone().judge().await.unwrap()[&Name::Listener]));
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let steps = Fake { address: nobody, ..fake }.judge().await.unwrap();
    assert_eq!(failure(&steps[&Name::Listener]).0, "no-listener");
    assert!(steps.values().skip(2).all(is_skipped));
}

#[tokio::test]
async fn a_port_that_does_not_answer_outside_is_not_the_images_fault() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = Fake { address: nobody, ..Fake::with(Editor::of(&PAGES)).await }.judge().await.unwrap_err();
    assert_eq!(error.fault().kind(), Kind::World);
    assert!(error.fault().help().unwrap().contains("run byoi there"));
}

#[tokio::test]
async fn extensions_are_compared_with_those_that_the_image_ships() {
    let fake = Fake::with(Editor::of(&PAGES)).await;
    let none = Fake { shipped: "", ..fake.clone() }.judge().await.unwrap();
    assert!(is_skipped(&none[&Name::Extensions]));
    let older = Fake { listed: "a.b@0.9.0\n", ..fake.clone() };
    let steps = older.clone().judge().await.unwrap();
    assert!(failure(&steps[&Name::Extensions]).1.contains("does not have a.b@1.0.0"));
    assert!(is_passed(&older.judge_on(true).await.unwrap()[&Name::Extensions]), "a user may have another version");
    let steps = Fake { listed: "", ..fake }.judge_on(true).await.unwrap();
    assert_eq!(failure(&steps[&Name::Extensions]).0, "extensions-missing");
}

#[tokio::test]
async fn data_beside_the_volume_are_told_and_an_unwritable_home_fails() {
    let fake = Fake::with(Editor::of(&PAGES)).await;
    let steps = Fake { places: r#"{"home": "/home/x", "data": "/home/sagemaker-users", "denied": []}"#, ..fake.clone() }.judge().await.unwrap();
    assert!(matches!(&steps[&Name::Home], Outcome::Passed(seen) if seen.contains("outside of the space's volume")));
    let steps = Fake { places: r#"{"home": "/root", "data": "/x", "denied": ["/root"]}"#, ..fake.clone() }.judge().await.unwrap();
    assert_eq!(failure(&steps[&Name::Home]).0, "unwritable-home");
    assert!(is_skipped(&Fake { places: "", ..fake }.judge().await.unwrap()[&Name::Home]));
}

#[tokio::test]
async fn what_fails_on_the_second_start_alone_is_named_so() {
    let fake = Fake::with(Editor::of(&PAGES)).await;
    for (second, words) in [(Ok(State::Ended(9)), "exit code 9"), (Err("exec: \"x\": no such file or directory"), "cannot be run")] {
        let steps = Fake { starts: vec![Ok(State::Running), second], ..fake.clone() }.judge().await.unwrap();
        let (cause, what) = failure(&steps[&Name::SecondStart]);
        assert!(cause == "second-start" && what.contains(words), "{what}");
    }
    let steps = Fake { starts: vec![Err("exec: \"x\": exec format error")], ..fake }.judge().await.unwrap();
    assert_eq!(failure(&steps[&Name::Start]).0, "exec-format");
    assert!(steps.values().skip(1).all(is_skipped));
}
