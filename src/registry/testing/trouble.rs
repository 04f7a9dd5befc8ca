//! Trouble that a test orders: wrong statuses, broken bodies, wrong bytes, redirects, silence.

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;

/// Trouble for requests of one method whose path contains a text.
#[derive(Debug, Clone)]
pub struct Trouble {
    method: String,
    path_part: String,
    times: u32,
    pub(super) effect: Effect,
}

#[derive(Debug, Clone)]
pub(super) enum Effect {
    /// This answer, and nothing is done.
    Answer { status: u16, headers: Vec<(String, String)>, body: Bytes },
    /// No answer: the connection is closed.
    Drop,
    /// The body breaks off after so many bytes.
    Break(u64),
    /// One byte of the body is another one.
    Corrupt,
    /// More bytes than there are.
    Longer,
    /// The answer is as it should be, with another header.
    Header(String, String),
    /// `Range` is not looked at.
    WithoutRanges,
    /// The answer is as it should be, after a while.
    Delay(Duration),
    /// To the same path at another host, with a signature in the query.
    Redirect(String),
}

impl Trouble {
    /// Trouble for requests of `method` whose path contains `path_part`; empty texts match all. It comes once, unless said otherwise.
    fn new(method: &str, path_part: &str, effect: Effect) -> Self {
        Trouble { method: method.to_owned(), path_part: path_part.to_owned(), times: 1, effect }
    }

    /// This status, with an empty body.
    pub fn status(method: &str, path_part: &str, status: u16) -> Self {
        Self::answer(method, path_part, status, "")
    }

    /// This status and body.
    pub fn answer(method: &str, path_part: &str, status: u16, body: impl Into<Bytes>) -> Self {
        Self::new(method, path_part, Effect::Answer { status, headers: Vec::new(), body: body.into() })
    }

    /// The connection is closed without an answer.
    pub fn drop(method: &str, path_part: &str) -> Self {
        Self::new(method, path_part, Effect::Drop)
    }

    /// The body breaks off after `bytes`.
    pub fn broken_after(method: &str, path_part: &str, bytes: u64) -> Self {
        Self::new(method, path_part, Effect::Break(bytes))
    }

    /// One byte of the body is another one.
    pub fn corrupt(method: &str, path_part: &str) -> Self {
        Self::new(method, path_part, Effect::Corrupt)
    }

    /// The body has a byte more.
    pub fn longer(method: &str, path_part: &str) -> Self {
        Self::new(method, path_part, Effect::Longer)
    }

    /// Another value for a header of an answer that is right otherwise.
    pub fn header(method: &str, path_part: &str, name: &str, value: &str) -> Self {
        Self::new(method, path_part, Effect::Header(name.to_owned(), value.to_owned()))
    }

    /// The server does not know ranges, nor validators.
    pub fn without_ranges(method: &str, path_part: &str) -> Self {
        Self::new(method, path_part, Effect::WithoutRanges)
    }

    /// The answer comes after a while.
    pub fn delay(method: &str, path_part: &str, wait: Duration) -> Self {
        Self::new(method, path_part, Effect::Delay(wait))
    }

    /// A redirect to the same path at `base` (`http://host:port`), with `?signature=secret`.
    pub fn redirect(method: &str, path_part: &str, base: &str) -> Self {
        Self::new(method, path_part, Effect::Redirect(base.trim_end_matches('/').to_owned()))
    }

    /// So many times.
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// Every time.
    pub fn always(self) -> Self {
        self.times(u32::MAX)
    }

    /// An answer of [`Trouble::answer`] with a header more.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        if let Effect::Answer { headers, .. } = &mut self.effect {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

/// The troubles that are still to come.
#[derive(Debug, Default)]
pub(super) struct Troubles(Mutex<Vec<Trouble>>);

impl Troubles {
    pub(super) fn add(&self, trouble: Trouble) {
        self.0.lock().expect("no holder panics").push(trouble);
    }

    pub(super) fn clear(&self) {
        self.0.lock().expect("no holder panics").clear();
    }

    /// The effects for a request, in the order in which they were ordered; of those that take the place of the answer, one at a time.
    pub(super) fn due(&self, method: &str, path: &str) -> Vec<Effect> {
        let mut effects: Vec<Effect> = Vec::new();
        let mut answered = false;
        for trouble in self.0.lock().expect("no holder panics").iter_mut() {
            let matches = (trouble.method.is_empty() || trouble.method == method) && path.contains(&trouble.path_part);
            let answers = matches!(trouble.effect, Effect::Answer { .. } | Effect::Drop | Effect::Redirect(_) | Effect::Break(_));
            if matches && trouble.times > 0 && !(answers && answered) {
                answered |= answers;
                trouble.times = if trouble.times == u32::MAX { u32::MAX } else { trouble.times - 1 };
                effects.push(trouble.effect.clone());
            }
        }
        effects
    }
}
