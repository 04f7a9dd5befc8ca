//! What a channel's text means: a name on anaconda.org, a URL, or a directory beside the description.

use std::path::Path;

use rattler_conda_types::{Channel, ChannelConfig, NamedChannelOrUrl};
use url::Url;

use crate::error::Problem;

/// Reads a channel as descriptions and environment files write it. Relative directories are those of `directory`.
///
/// # Errors
/// What is wrong with it, without a place.
pub fn parse(text: &str, directory: &Path) -> Result<Channel, Problem> {
    let bad = |message: String, label: &str, help: &str| Problem::new(message).label(label).help(help);
    if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(bad(
            "a channel is a name, a URL or a directory, without spaces".to_owned(),
            "not a channel",
            "write a channel such as \"conda-forge\"",
        ));
    }
    if text == "defaults" {
        let help = "write \"https://repo.anaconda.com/pkgs/main\" for Anaconda's own packages, mind its terms, or use \"conda-forge\"";
        return Err(bad(
            "`defaults` stands for several channels that conda's configuration of one machine names".to_owned(),
            "not one channel",
            help,
        ));
    }
    let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let config = ChannelConfig::default_with_root_dir(directory);
    let named: NamedChannelOrUrl = text.parse().map_err(|error| {
        let help = "write a name as \"conda-forge\", a whole URL, or \"./DIRECTORY\"";
        bad(format!("this is not a channel: {error}"), "not a channel", help)
    })?;
    if let NamedChannelOrUrl::Url(url) = &named {
        check_url(url)?;
    }
    named.into_channel(&config).map_err(|error| bad(format!("this is not a channel: {error}"), "not a channel", "write a name or a whole URL"))
}

fn check_url(url: &Url) -> Result<(), Problem> {
    if !["https", "http", "file"].contains(&url.scheme()) {
        let message = format!("byoi reaches channels by https, http and file only, not by `{}`", url.scheme());
        return Err(Problem::new(message).label("another scheme").help("use an https URL"));
    }
    if has_credentials(url) {
        let message = "the URL of a channel holds no credentials: its file lies in git, and the lock repeats it";
        return Err(Problem::new(message)
            .label("credentials")
            .help("take them out, and put them into rattler's auth file (RATTLER_AUTH_FILE) or netrc"));
    }
    Ok(())
}

/// Whether a URL holds a user, a password, or a token in the path (`/t/TOKEN/…`).
pub fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some() || url.path().starts_with("/t/") || url.path().contains("/t/tk-")
}

/// The URL without what [`has_credentials`] looks for.
pub fn without_credentials(url: &Url) -> Url {
    let mut plain = url.clone();
    // These fail for URLs without a host only, which have neither.
    let _ = plain.set_username("");
    let _ = plain.set_password(None);
    let path = match url.path().split_once("/t/") {
        Some((before, rest)) if before.is_empty() || rest.starts_with("tk-") => {
            format!("{before}/{}", rest.split_once('/').map_or("", |(_, rest)| rest))
        }
        _ => return plain,
    };
    plain.set_path(&path);
    plain
}

/// A channel's URL as the lock and conda-meta name it.
pub fn name_of(channel: &Channel) -> String {
    without_credentials(channel.base_url.as_ref()).as_str().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url_of(text: &str) -> Result<String, String> {
        parse(text, Path::new("/work/project")).map(|channel| channel.base_url.to_string()).map_err(|problem| problem.message)
    }

    #[test]
    fn names_urls_and_directories_are_channels() {
        assert_eq!(url_of("conda-forge").unwrap(), "https://conda.anaconda.org/conda-forge/");
        assert_eq!(url_of("conda-forge/label/dev").unwrap(), "https://conda.anaconda.org/conda-forge/label/dev/");
        assert_eq!(url_of("https://a.org/c").unwrap(), "https://a.org/c/");
        assert_eq!(url_of("./channel").unwrap(), "file:///work/project/channel/");
        assert_eq!(url_of("file:///srv/channel").unwrap(), "file:///srv/channel/");
    }

    #[test]
    fn refuses_what_is_none_or_holds_a_secret() {
        for text in [
            "",
            "a b",
            "defaults",
            "s3://bucket/c",
            "oci://a.b/c",
            "https://u:hunter2@a.org/c",
            "https://a.org/t/hunter2/c",
            "https://a.org/x/t/tk-hunter2/c",
        ] {
            let message = url_of(text).unwrap_err();
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn credentials_are_taken_out() {
        for (url, plain) in [
            ("https://u:p@a.org/c/noarch/x.conda", "https://a.org/c/noarch/x.conda"),
            ("https://a.org/t/secret/c/noarch/x.conda", "https://a.org/c/noarch/x.conda"),
            ("https://a.org/deep/t/tk-1/c/x.conda", "https://a.org/deep/c/x.conda"),
            ("https://a.org/deep/t/x/c", "https://a.org/deep/t/x/c"),
            ("file:///srv/t/c", "file:///srv/t/c"),
        ] {
            let plain_url = without_credentials(&url.parse().unwrap());
            assert_eq!(plain_url.as_str(), plain);
            assert!(!has_credentials(&plain_url));
        }
    }
}
