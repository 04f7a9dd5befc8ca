//! All output of the command: results on stdout; bars, lines, warnings and errors on stderr.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::render::{self, Style};
use crate::environment;
use crate::error::{Error, Problem};
use crate::progress::{Progress, Task};

/// How much the command says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors and results only.
    Quiet,
    /// What a person wants to know.
    Normal,
    /// Each step and what it moved.
    Verbose,
}

/// Work shorter than this is not worth a line where there are no bars.
const WORTH_A_LINE: Duration = Duration::from_secs(2);

/// The command's voice. Cheap to clone.
#[derive(Clone)]
pub struct Printer {
    verbosity: Verbosity,
    bars: Option<Arc<MultiProgress>>,
    colour: bool,
}

impl Printer {
    /// A printer for this process: bars where stderr is a terminal and no CI listens; colour where the terminal and `NO_COLOR` allow it.
    pub fn new(verbosity: Verbosity) -> Self {
        let terminal = std::io::stderr().is_terminal() && !environment::CI.is_on() && environment::TERM.text().as_deref() != Some("dumb");
        let bars = (terminal && verbosity > Verbosity::Quiet).then(|| Arc::new(MultiProgress::new()));
        Printer { verbosity, bars, colour: terminal && environment::NO_COLOR.text().is_none() }
    }

    /// A line for people.
    pub fn say(&self, text: impl AsRef<str>) {
        if self.verbosity >= Verbosity::Normal {
            self.put(text.as_ref());
        }
    }

    /// A line for people who want to know more.
    pub fn detail(&self, text: impl AsRef<str>) {
        if self.verbosity >= Verbosity::Verbose {
            self.put(text.as_ref());
        }
    }

    /// Something that is allowed but probably not meant.
    pub fn warn(&self, problem: &Problem) {
        if self.verbosity >= Verbosity::Normal {
            self.put(render::render_warnings(std::slice::from_ref(problem), self.style()).trim_end());
        }
    }

    /// The error that ends the command.
    pub fn error(&self, error: &Error) {
        self.put(render::render(error, self.style()).trim_end());
    }

    /// A result, on stdout. A reader that went away is no error: `byoi … | head` is quiet.
    ///
    /// # Errors
    /// When stdout fails otherwise.
    pub fn result(&self, text: &str) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    fn style(&self) -> Style {
        Style { colour: self.colour, ..Style::default() }
    }

    fn put(&self, text: &str) {
        let write = || {
            // A closed stderr leaves nobody to tell.
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        };
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }
}

impl Progress for Printer {
    fn begin(&self, what: &str, total: Option<u64>) -> Box<dyn Task> {
        match &self.bars {
            Some(bars) => Box::new(Bar(bars.add(bar(what, total)))),
            None => Box::new(Line { printer: self.clone(), what: what.to_owned(), begun: Instant::now(), bytes: Default::default() }),
        }
    }
}

fn bar(what: &str, total: Option<u64>) -> ProgressBar {
    // They fit into 80 columns, and count as [`size`] does.
    let template = match total {
        Some(_) => "{prefix:<34.34} {wide_bar} {decimal_bytes:>9}/{decimal_total_bytes:<9} {decimal_bytes_per_sec:>11}",
        None => "{prefix:<34.34} {spinner} {decimal_bytes:>9} {decimal_bytes_per_sec:>11}",
    };
    let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new).with_prefix(what.to_owned());
    bar.set_style(ProgressStyle::with_template(template).expect("the template is valid"));
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

struct Bar(ProgressBar);

impl Task for Bar {
    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Where there are no bars: one line at the end, if it took long or much is wanted.
struct Line {
    printer: Printer,
    what: String,
    begun: Instant,
    bytes: std::sync::atomic::AtomicU64,
}

impl Task for Line {
    fn advance(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let (took, bytes) = (self.begun.elapsed(), self.bytes.load(std::sync::atomic::Ordering::Relaxed));
        let text = format!("{}: {} in {:.1} s", self.what, size(bytes), took.as_secs_f64());
        if took > WORTH_A_LINE { self.printer.say(text) } else { self.printer.detail(text) }
    }
}

/// A number of bytes for people: `12 B`, `3.4 MB` (powers of ten, as registries and disks count).
pub fn size(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in units {
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    if unit == "B" || value >= 99.95 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (12_345_678, "12.3 MB"), (999_600, "1.0 MB"), (123_000_000, "123 MB")] {
            assert_eq!(size(bytes), text);
        }
    }
}
