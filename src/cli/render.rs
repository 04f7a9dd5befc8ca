//! The one renderer of errors and warnings: what is wrong with its place in the text, why, and what to do next.
//!
//! Messages and source lines may hold foreign text: nothing of it reaches the terminal as a control character, and credentials in URLs are
//! masked.

use std::error::Error as StdError;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, Severity, SourceCode};
use textwrap::{WordSeparator, WordSplitter};

use crate::error::{Error, Invalid, Problem, Source};

/// How errors are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether escape sequences for colour are written.
    pub colour: bool,
    /// Columns after which lines are wrapped.
    pub width: usize,
}

impl Default for Style {
    fn default() -> Self {
        Style { colour: false, width: 100 }
    }
}

/// Problems that are shown of one error; the rest is counted.
const MAX_PROBLEMS: usize = 100;
/// Bytes of a line up to which it is shown; of a longer one, as machines write them, only the place is named.
const MAX_LINE: usize = 1000;
/// Characters of a message, a label or a way out: longer ones repeat foreign text.
const MAX_MESSAGE: usize = 1000;

/// An error as text for a terminal, ending in a line break.
pub fn render(error: &Error, style: Style) -> String {
    let fault = error.fault();
    let problems = fault.problems();
    if problems.is_empty() {
        let mut report = Report::new(&fault.to_string(), Severity::Error);
        report.help = fault.help().map(|help| harmless(&help));
        report.cause = cause_chain(fault.source());
        return draw(&report, style);
    }
    let mut text = String::new();
    if error.downcast_ref::<Invalid>().is_none() {
        text.push_str(&draw(&Report::new(&fault.to_string(), Severity::Error), style));
    }
    text + &render_problems(problems, Severity::Error, style)
}

/// Warnings as text for a terminal; empty without warnings.
pub fn render_warnings(warnings: &[Problem], style: Style) -> String {
    render_problems(warnings, Severity::Warning, style)
}

fn render_problems(problems: &[Problem], severity: Severity, style: Style) -> String {
    let mut shown = ShownSource::default();
    let drawn = problems.iter().take(MAX_PROBLEMS).map(|problem| draw(&Report::of(problem, severity, &mut shown), style));
    let mut text = drawn.collect::<Vec<_>>().join("\n");
    if problems.len() > MAX_PROBLEMS {
        let rest = format!("and {} more of the same file", problems.len() - MAX_PROBLEMS);
        text = format!("{text}\n{}", draw(&Report::new(&rest, severity), style));
    }
    text
}

fn draw(report: &Report, style: Style) -> String {
    let theme = if style.colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_width(style.width.max(40));
    // References, paths and commands stay whole, so that they can be copied.
    let handler = handler.with_break_words(false).with_word_separator(WordSeparator::AsciiSpace).with_word_splitter(WordSplitter::NoHyphenation);
    let mut text = String::new();
    if handler.render_report(&mut text, report).is_err() {
        // Only a place outside its text can do that; the message stands without it.
        text = format!("{}\n", report.message);
    }
    let lines = text.trim_matches('\n').lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect()
}

/// What miette draws: an owned copy in which no control character is left.
#[derive(Debug)]
struct Report {
    message: String,
    severity: Severity,
    help: Option<String>,
    cause: Option<Box<Report>>,
    source: Option<NamedSource<Arc<String>>>,
    label: Option<LabeledSpan>,
}

impl Report {
    fn new(message: &str, severity: Severity) -> Self {
        Report { message: harmless(message), severity, help: None, cause: None, source: None, label: None }
    }

    fn of(problem: &Problem, severity: Severity, shown: &mut ShownSource) -> Self {
        let mut report = Report::new(&problem.message, severity);
        report.help = problem.help.as_deref().map(harmless);
        let Some((source, span)) = &problem.place else { return report };
        let Some(span) = shown_span(&source.text, span) else {
            report.message = format!("{} ({})", report.message, harmless(&place_name(source, span.start)));
            return report;
        };
        let label = problem.label.as_deref().filter(|label| !label.is_empty()).map(harmless);
        report.label = Some(LabeledSpan::new(label, span.start, span.len()));
        report.source = Some(NamedSource::new(harmless(&source.name), shown.text(source)));
        report
    }
}

/// The text of the last source in its harmless form: the problems of one error mostly lie in one file.
#[derive(Default)]
struct ShownSource(Option<(Arc<Source>, Arc<String>)>);

impl ShownSource {
    fn text(&mut self, source: &Arc<Source>) -> Arc<String> {
        match &self.0 {
            Some((last, text)) if Arc::ptr_eq(last, source) => text.clone(),
            _ => {
                let text = Arc::new(harmless_of_same_length(&source.text));
                self.0 = Some((source.clone(), text.clone()));
                text
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Report {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_deref().map(|cause| cause as &dyn StdError)
    }
}

impl Diagnostic for Report {
    fn severity(&self) -> Option<Severity> {
        Some(self.severity)
    }

    fn help(&self) -> Option<Box<dyn fmt::Display + '_>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.label.clone().map(|label| Box::new(std::iter::once(label)) as Box<dyn Iterator<Item = LabeledSpan>>)
    }
}

/// The causes below an error, each said once: some types repeat their cause in their own message.
fn cause_chain(cause: Option<&(dyn StdError + 'static)>) -> Option<Box<Report>> {
    let cause = cause?;
    let mut report = Report::new(&cause.to_string(), Severity::Error);
    report.cause = cause_chain(cause.source()).filter(|deeper| !report.message.contains(&deeper.message));
    Some(Box::new(report))
}

/// The part of `span` that is marked: what lies in its first line. None where the line is too long to show.
fn shown_span(text: &str, span: &Range<usize>) -> Option<Range<usize>> {
    let start = text.floor_char_boundary(span.start);
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let end = text.floor_char_boundary(span.end.clamp(start, line_end));
    (line_end - line_start <= MAX_LINE).then_some(start..end)
}

fn place_name(source: &Source, at: usize) -> String {
    let before = &source.text[..source.text.floor_char_boundary(at)];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{}:{line}:{column}", source.name)
}

/// Whether a terminal would act on the character: control characters, and those that turn the direction of text.
fn is_active(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t') || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Foreign text without what a terminal would act on, and without credentials.
pub fn harmless(text: &str) -> String {
    let text = without_credentials(text);
    let shown = text.chars().take(MAX_MESSAGE).map(|c| if is_active(c) { '\u{fffd}' } else { c });
    shown.chain(text.chars().nth(MAX_MESSAGE).map(|_| '…')).collect()
}

/// As [`harmless`], with replacements of the same number of bytes, so that places stay right.
fn harmless_of_same_length(text: &str) -> String {
    let replaced = |c: char| match c.len_utf8() {
        _ if !is_active(c) => c,
        1 => ' ',
        2 => '¿',
        _ => '\u{fffd}',
    };
    without_credentials(text).chars().map(replaced).collect()
}

/// `text` with a `*` for every byte between `://` and `@` of URLs, and of tokens of conda channels (`://HOST/t/TOKEN/`).
fn without_credentials(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        let end = word_end(after);
        let secret = after[..end].rfind('@').unwrap_or(0);
        masked.push_str(before);
        masked.extend(std::iter::repeat_n('*', secret));
        masked.push_str(&after[secret..end]);
        rest = &after[end..];
        if let Some(token) = rest.strip_prefix("/t/") {
            masked.push_str("/t/");
            masked.extend(std::iter::repeat_n('*', word_end(token)));
            rest = &token[word_end(token)..];
        }
    }
    masked + rest
}

/// How many bytes of a URL's part come before the next part or what is no URL any more.
fn word_end(text: &str) -> usize {
    text.find(|c: char| c.is_whitespace() || "/?#\"'`<>".contains(c)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::FileError;

    fn at(text: &str, span: Range<usize>) -> Error {
        let source = Arc::new(Source { name: "byoi.toml".to_owned(), text: text.to_owned() });
        Error::input(Problem::new("it is wrong").at(&source, span).label("here").help("do it right"))
    }

    #[test]
    fn an_error_without_a_place_shows_its_causes() {
        let cause = std::io::Error::new(std::io::ErrorKind::NotFound, "No such file or directory");
        let error = Error::from(FileError { doing: "read", path: "byoi.toml".into(), cause }).while_doing("cannot build the image");
        insta::assert_snapshot!(render(&error, Style::default()));
    }

    #[test]
    fn an_error_with_a_place_shows_it() {
        insta::assert_snapshot!(render(&at("a = 1\nb = 2\nc = 3\n", 10..11).while_doing("cannot lock"), Style::default()));
    }

    #[test]
    fn colour_is_written_when_asked_for_only() {
        let error = at("a = 1\n", 4..5);
        assert!(!render(&error, Style::default()).contains('\u{1b}'));
        assert!(render(&error, Style { colour: true, width: 80 }).contains('\u{1b}'));
    }

    #[test]
    fn foreign_control_characters_do_not_reach_the_terminal() {
        let error = at("a = \"\u{1b}[31m\u{9b}\u{202e}\"\u{7}\r\n", 4..12);
        let text = render(&error.while_doing("bell \u{7}"), Style::default());
        assert!(!text.chars().any(is_active), "{text:?}");
    }

    #[test]
    fn credentials_in_urls_are_masked() {
        let text = "url = \"https://me:se©ret@example.com/a@b\"\nbase = 'http://token@[::1]'\n";
        let shown = render(&at(text, 6..20).while_doing("cannot fetch https://me:secret@example.com/x"), Style::default());
        assert!(!shown.contains("ret") && !shown.contains("token") && !shown.contains("me:"), "{shown}");
        assert!(shown.contains("@example.com/a@b") && shown.contains("@example.com/x"), "{shown}");
        assert_eq!(harmless_of_same_length(text).len(), text.len());
    }

    #[test]
    fn long_lines_and_long_spans_are_cut() {
        let long = format!("a = \"{}\"\n", "x".repeat(5000));
        let text = render(&at(&long, 4..5000), Style::default());
        assert!(text.len() < 300 && text.contains("byoi.toml:1:5"), "{text}");
        let text = render(&Error::input(Problem::new("x".repeat(5000))), Style::default());
        assert!(text.len() < 1200 && text.contains('…'), "{text}");
        let many = "b = 1\n".repeat(1000);
        assert!(render(&at(&many, 0..6000), Style::default()).lines().count() < 10);
    }

    #[test]
    fn places_outside_the_text_do_not_panic() {
        for span in [0..0, 3..3, 3..100, 100..200] {
            assert!(render(&at("é\n", span), Style::default()).contains("it is wrong"));
        }
    }

    #[test]
    fn many_problems_are_counted() {
        let problems = (0..150).map(|number| Problem::new(format!("wrong {number}"))).collect();
        let text = render(&Invalid { problems }.into(), Style::default());
        assert!(text.contains("wrong 99") && !text.contains("wrong 100") && text.contains("and 50 more"));
    }
}
