//! What channels have: their indexes, sharded, compressed or plain, kept in the cache and asked for again only as far as they changed.

use std::fs;
use std::path::PathBuf;

use rattler_conda_types::{Channel, MatchSpec, Subdir};
use rattler_repodata_gateway::fetch::FetchRepoDataError;
use rattler_repodata_gateway::{ChannelConfig, ChannelRelationsMode, Gateway, GatewayError, RepoData, SourceConfig};

use super::channel;
use super::error::{CREDENTIALS_HELP, ChannelError};
use super::http::{Failure, Transport, is_absent, wants_credentials};
use super::place::{Asked, Place};
use crate::error::{Error, Fault, FileError, Kind, Problem};
use crate::world::World;

/// Requests of the gateway at once. The client has a lower bound of its own, for all it does.
const MAX_REQUESTS: usize = 32;
/// Where in the cache the channels' indexes lie.
const DIRECTORY: &str = "conda-channels";

/// All packages of the channels that specs, and what they depend on, may be met by: a list a channel and platform, in order of priority, each
/// in the order in which answers came. `table` is where a problem of no single channel is shown.
///
/// # Errors
/// Channels that are not there, not open, or not what they should be; the network.
pub async fn candidates(
    channels: &[Asked<Channel>],
    specs: Vec<MatchSpec>,
    table: &Place,
    transport: &Transport,
    world: &World<'_>,
) -> Result<Vec<RepoData>, Error> {
    let cache: PathBuf = world.store.root().join(DIRECTORY);
    fs::create_dir_all(&cache).map_err(FileError::at("create", &cache))?;
    let _task = world.progress.begin("read channels", None);
    let gateway = Gateway::builder()
        .with_client(transport.client()?)
        .with_cache_dir(cache)
        .with_channel_config(ChannelConfig { default: SourceConfig::default(), ..ChannelConfig::default() })
        .with_max_concurrent_requests(MAX_REQUESTS)
        .finish();
    let sources = channels.iter().map(|channel| channel.value.clone());
    // A channel must not bring in another one that nobody named.
    let query = gateway.query(sources, [Subdir::Linux64, Subdir::NoArch], specs).recursive(true).channel_relations(ChannelRelationsMode::Disabled);
    let found = query.execute().await.map_err(|error| explained(&error, channels, table, transport.take_failure()))?;
    Ok(found.repodata)
}

/// The gateway's error, at the place of the channel that it is about.
fn explained(error: &GatewayError, channels: &[Asked<Channel>], table: &Place, failure: Option<Failure>) -> Error {
    let of_url = |url: &str| channels.iter().find(|channel| url.starts_with(channel.value.base_url.as_str()));
    match (error, failure) {
        (GatewayError::SubdirNotFoundError(missing), _) => {
            let channel = channels.iter().find(|channel| channel.value.base_url == missing.channel.base_url);
            absent(channel, table, &missing.channel, &missing.subdir)
        }
        (_, Some(failure)) if is_of_network(error) => unreachable(of_url(failure.url.as_str()), table, &failure),
        (error, _) => {
            let reason = chain(error);
            let channel =
                channels.iter().find(|channel| reason.contains(channel.value.base_url.as_str())).or(channels.first().filter(|_| channels.len() == 1));
            let name = channel.map_or_else(|| "a channel".to_owned(), |channel| channel::name_of(&channel.value));
            let problem = Problem::new(format!("the index of {name} cannot be read: {reason}")).label("its index is damaged");
            let problem = problem.help("run the command again; where that changes nothing, tell who keeps the channel");
            ChannelError::new(channel.map_or(table, |channel| &channel.place).mark(problem), Kind::World, false).into()
        }
    }
}

fn is_of_network(error: &GatewayError) -> bool {
    matches!(
        error,
        GatewayError::ReqwestError(_)
            | GatewayError::ReqwestMiddlewareError(_)
            | GatewayError::FetchRepoDataError(
                FetchRepoDataError::HttpError(_) | FetchRepoDataError::FailedToDownload(..) | FetchRepoDataError::IoError(_)
            )
            | GatewayError::IoError(..)
    )
}

fn absent(channel: Option<&Asked<Channel>>, table: &Place, found: &Channel, subdir: &str) -> Error {
    let name = channel::name_of(channel.map_or(found, |channel| &channel.value));
    let problem = Problem::new(format!("there is no channel at {name}: it has no {subdir}/repodata.json")).label("no such channel");
    let help = match found.base_url.as_str().starts_with("file:") {
        true => "check the directory; `rattler-index` or `conda index` makes the index of a channel of one's own, with linux-64 and noarch",
        false => "check its name, and that of its owner; `[mirrors]` in byoi's config.toml can lead elsewhere",
    };
    ChannelError::new(channel.map_or(table, |channel| &channel.place).mark(problem.help(help)), Kind::Input, false).into()
}

fn unreachable(channel: Option<&Asked<Channel>>, table: &Place, failure: &Failure) -> Error {
    let place = channel.map_or(table, |channel| &channel.place);
    let name = channel.map_or_else(|| failure.url.to_string(), |channel| channel::name_of(&channel.value));
    let (problem, kind) = if wants_credentials(&failure.error) {
        let problem = Problem::new(format!("the channel {name} is not open to everyone: {}", failure.error)).label("wants credentials");
        (problem.help(CREDENTIALS_HELP), Kind::World)
    } else if is_absent(&failure.error) {
        (Problem::new(format!("there is no channel at {name}: {}", failure.error)).label("no such channel").help("check its name"), Kind::Input)
    } else {
        let problem = Problem::new(format!("the channel {name} cannot be read: {}", failure.error)).label("cannot be read");
        let network = "solving needs the network; with a lock that is current, `byoi build --locked` needs no channel";
        let help = failure.error.help().map_or_else(|| network.to_owned(), |help| format!("{help}; {network}"));
        (problem.help(help), failure.error.kind())
    };
    ChannelError::new(place.mark(problem), kind, failure.error.is_temporary()).into()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(why) = cause {
        let why_text = why.to_string();
        if !text.contains(&why_text) {
            text = format!("{text}: {why_text}");
        }
        cause = why.source();
    }
    text
}
