//! Foreign inputs of old daemons, which begin all sources of a graph at the same time, and do not try again: hundreds of conda packages are more than
//! many servers take from one client. For them the inputs are fetched before, a few at a time.

use byoi::assemble::Planned;
use byoi::error::Error;
use futures_util::{StreamExt, TryStreamExt};

use crate::inputs::Inputs;
use crate::llb::Graph;
use crate::session::Session;

/// Inputs that are fetched at the same time.
const AT_ONCE: usize = 16;
/// So few may be begun at the same time anyway.
const FEW: usize = 32;

/// Fetches the inputs of an image in batches, where the daemon is old and they are many.
///
/// # Errors
/// Inputs that are not there, or not what they were.
pub async fn in_batches(session: &Session, inputs: &Inputs, planned: &Planned) -> Result<(), Error> {
    let mut wanted: Vec<_> = planned.plan.layers.iter().flat_map(|layer| layer.inputs()).collect();
    wanted.sort_unstable();
    wanted.dedup();
    if !session.gateway.is_old() || wanted.len() <= FEW {
        return Ok(());
    }
    let fetch = async |digest| {
        let mut graph = Graph::default();
        let Some(head) = inputs.foreign(digest, &mut graph, session)? else { return Ok(()) };
        session.gateway.solve(&graph, &head, true, &[], &format!("fetch {digest}")).await?;
        Ok::<_, Error>(())
    };
    futures_util::stream::iter(wanted.iter().map(fetch)).buffer_unordered(AT_ONCE).try_collect().await
}
