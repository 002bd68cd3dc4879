//! `stempel-hub serve`: serves the desks until it is told to stop.

use std::net::SocketAddr;

use service::ending::Stop;

use super::CliError;
use crate::db::HubFolder;
use crate::endpoint;

pub(super) async fn run(folder: &HubFolder, listen: SocketAddr) -> Result<(), CliError> {
    let stop = Stop::on_signals().map_err(CliError::Signals)?;
    let ready = |address| service::log::ready(format!("listening on {address}"));
    Ok(endpoint::serve(folder, listen, ready, stop.asked()).await?)
}
