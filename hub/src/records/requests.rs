//! What was asked and answered. Nothing of its contents is kept.

use crdt_model::ids::DeviceId;
use sync_protocol::request::RequestId;

use crate::db::{HubError, Reading, Writing, sql};

/// What became of a request that was answered: nothing where it was not, else why it was refused, if it was.
pub(crate) async fn answered(
    reading: &mut Reading,
    id: RequestId,
) -> Result<Option<Option<String>>, HubError> {
    let select = sql("SELECT refused AS found FROM request WHERE id = $1").bind(id.0);
    Ok(reading.value(select).await?)
}

/// Nobody else does this request until the transaction ends.
pub(crate) async fn lock(writing: &mut Writing, id: RequestId) -> Result<(), HubError> {
    Ok(writing.lock_name("request", &id.to_string()).await?)
}

/// Keeps what became of a request.
pub(crate) async fn keep(
    writing: &mut Writing,
    id: RequestId,
    device: DeviceId,
    kind: &str,
    refused: Option<&str>,
    paid_cents: Option<u32>,
) -> Result<(), HubError> {
    let now = writing.now().0;
    let keep = "INSERT INTO request (id, device, kind, refused, at, paid_cents)
         VALUES ($1, $2, $3, $4, $5, $6)";
    let keep = sql(keep)
        .bind(id.0)
        .bind(device.0)
        .bind(kind)
        .bind(refused.map(str::to_owned))
        .bind(now)
        .bind(paid_cents);
    writing.execute(keep).await?;
    Ok(())
}
