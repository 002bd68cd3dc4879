//! The desk API's server: axum on a Unix domain socket. Each handler asks the desk and answers.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::http::StatusCode;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use crdt_model::decide::Reason;
use crdt_model::ids::RewardId;
use crdt_model::money::Cents;
use crdt_model::time::UnixMillis;
use desk_api::types::{
    ActivityRequest, Answer, CardAnswer, CardCheckRequest, CardCheckView, Event, HistoryRow,
    MembershipPriceView, PassView, Problem, ProblemKind, RedemptionRequest, RequestBody,
    RequestView, RewardView, SaleAnswer, SaleRequest, SealedView, Status, StockView, TapRequest,
    TariffsView, VoidRequest,
};
use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use tokio_stream::wrappers::BroadcastStream;

use crate::desk::{Desk, Refusal};
use crate::disk::DiskTrouble;
use crate::hub_link::{SharedDesk, lock};
use crate::ledger_files::LedgerFileError;

/// A body of a request at the most: the largest has some 200 bytes.
const MAX_BODY_BYTES: usize = 16 * 1024;

/// So long a redemption waits for a unit that the hub may have: a visitor stands there, and an answer takes some tens of
/// milliseconds.
const UNIT_PATIENCE: Duration = Duration::from_secs(1);

/// The desk API.
pub fn router(desk: SharedDesk) -> Router {
    Router::new()
        .route("/v1/taps", post(tap).get(history))
        .route("/v1/card-checks", post(begin_card_check))
        .route("/v1/card-checks/{check}/answers", post(take_card_answer))
        .route("/v1/redemptions", post(redeem))
        .route("/v1/voids", post(void))
        .route("/v1/passes/{pass}", get(pass))
        .route("/v1/activities", get(activities))
        .route("/v1/desk/activity", put(choose_activity))
        .route("/v1/rewards", get(rewards))
        .route("/v1/tariffs", get(tariffs))
        .route("/v1/ticket-sales", post(sell))
        .route("/v1/requests", post(request).get(requests))
        .route("/v1/membership-prices", get(membership_prices))
        .route("/v1/holders", get(sealed))
        .route("/v1/stock", get(stock).delete(give_stock_back))
        .route("/v1/status", get(status))
        .route("/v1/events", get(events))
        .fallback(no_such_resource)
        .layer(axum::extract::DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(desk)
}

/// A problem as an answer.
struct Failure(Problem);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        (status, [("content-type", "application/problem+json")], body).into_response()
    }
}

fn problem(kind: ProblemKind, status: StatusCode, detail: String) -> Failure {
    Failure(Problem::new(kind, status.as_u16(), detail))
}

async fn no_such_resource() -> Failure {
    let detail = "the desk API has nothing here".to_owned();
    problem(ProblemKind::NoSuchResource, StatusCode::NOT_FOUND, detail)
}

/// Each trouble of a disk under its own name.
fn of_disk(trouble: DiskTrouble) -> (ProblemKind, StatusCode) {
    match trouble {
        DiskTrouble::Full => (ProblemKind::DiskFull, StatusCode::INSUFFICIENT_STORAGE),
        DiskTrouble::Quota => (ProblemKind::DiskQuota, StatusCode::INSUFFICIENT_STORAGE),
        DiskTrouble::ReadOnly => (ProblemKind::DiskReadOnly, StatusCode::INTERNAL_SERVER_ERROR),
        DiskTrouble::Fails => (ProblemKind::Disk, StatusCode::INTERNAL_SERVER_ERROR),
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let (kind, status) = match &refusal {
            Refusal::Card(_) => {
                (ProblemKind::Reason(Reason::InvalidUitpasNumber), StatusCode::BAD_REQUEST)
            }
            Refusal::Ledger(LedgerFileError::Disk { error, .. })
            | Refusal::Settings(error)
            | Refusal::RequestNotKept(error) => of_disk(DiskTrouble::of_failed_write(error)),
            Refusal::Ledger(LedgerFileError::Merge(_)) => {
                (ProblemKind::Disk, StatusCode::INTERNAL_SERVER_ERROR)
            }
            Refusal::Store(error) => match error.disk_trouble() {
                Some(trouble) => of_disk(trouble),
                None => (ProblemKind::Store, StatusCode::INTERNAL_SERVER_ERROR),
            },
            Refusal::NoSuchActivity => {
                (ProblemKind::Reason(Reason::EventNotFound), StatusCode::NOT_FOUND)
            }
            Refusal::NoSuchPass => {
                (ProblemKind::Reason(Reason::PassNotFound), StatusCode::NOT_FOUND)
            }
            Refusal::Not(reason) => {
                (ProblemKind::Reason(*reason), StatusCode::UNPROCESSABLE_ENTITY)
            }
            Refusal::NoSuchCheck => (ProblemKind::CheckNotFound, StatusCode::NOT_FOUND),
            Refusal::NoSuchEntry => (ProblemKind::EntryNotFound, StatusCode::NOT_FOUND),
            Refusal::NoPrice => (ProblemKind::NoPrice, StatusCode::UNPROCESSABLE_ENTITY),
            Refusal::NoHolder => (ProblemKind::NoHolder, StatusCode::NOT_FOUND),
            Refusal::NoRequestKey => (ProblemKind::NoRequestKey, StatusCode::SERVICE_UNAVAILABLE),
            Refusal::Request(_)
            | Refusal::Registration
            | Refusal::NotInStock
            | Refusal::NoMembershipPrice
            | Refusal::CardSystem => (ProblemKind::InvalidData, StatusCode::UNPROCESSABLE_ENTITY),
        };
        problem(kind, status, refusal.to_string())
    }
}

/// A JSON body, its errors as problems: an object, for serde would take an array for a struct as well.
struct Body<T>(T);

impl<T: serde::de::DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        match Json::<serde_json::Map<String, serde_json::Value>>::from_request(request, state).await
        {
            Ok(Json(body)) => {
                let body = serde_json::from_value(serde_json::Value::Object(body));
                body.map(Self).map_err(|error| {
                    let status = StatusCode::UNPROCESSABLE_ENTITY;
                    problem(ProblemKind::InvalidData, status, error.to_string())
                })
            }
            Err(rejection) => {
                let kind = match &rejection {
                    JsonRejection::JsonSyntaxError(_) => ProblemKind::InvalidSyntax,
                    JsonRejection::JsonDataError(_) => ProblemKind::InvalidData,
                    _ => ProblemKind::BodyMissing,
                };
                Err(problem(kind, rejection.status(), rejection.body_text()))
            }
        }
    }
}

/// Asks the desk, at the time that it goes by. It may write to the disk: this thread is the desk API's own.
fn ask<T>(
    desk: &SharedDesk,
    question: impl FnOnce(&mut Desk, UnixMillis) -> Result<T, Refusal>,
) -> Result<T, Failure> {
    let mut asked = lock(desk);
    let now = asked.now();
    let answer = question(&mut asked, now).map_err(Failure::from);
    if asked.owes_status() {
        let desk = desk.clone();
        // On this thread it runs behind the answer.
        tokio::spawn(async move { lock(&desk).tell_status() });
    }
    answer
}

async fn tap(
    State(desk): State<SharedDesk>,
    Body(body): Body<TapRequest>,
) -> Result<Json<Answer>, Failure> {
    let _span = tracing::debug_span!("tap").entered();
    ask(&desk, |desk, now| desk.tap(&body, now)).map(Json)
}

async fn begin_card_check(
    State(desk): State<SharedDesk>,
    Body(body): Body<CardCheckRequest>,
) -> Result<Json<CardCheckView>, Failure> {
    ask(&desk, |desk, now| Ok(desk.begin_card_check(&body, now))).map(Json)
}

async fn take_card_answer(
    State(desk): State<SharedDesk>,
    Path(check): Path<String>,
    Body(body): Body<CardAnswer>,
) -> Result<Json<CardCheckView>, Failure> {
    ask(&desk, |desk, _| desk.take_card_answer(&check, &body)).map(Json)
}

async fn history(State(desk): State<SharedDesk>) -> Json<Vec<HistoryRow>> {
    Json(lock(&desk).history())
}

async fn redeem(
    State(desk): State<SharedDesk>,
    Body(body): Body<RedemptionRequest>,
) -> Result<Json<Answer>, Failure> {
    if let Some(reward) = ask(&desk, |desk, now| desk.ask_for_unit(&body, now))? {
        // Other taps go on meanwhile: the desk is not locked.
        let _ = tokio::time::timeout(UNIT_PATIENCE, hub_answers(&desk, reward)).await;
        lock(&desk).stop_waiting(reward);
    }
    ask(&desk, |desk, now| desk.redeem(&body, now)).map(Json)
}

/// Comes back when the hub has said whether it has a unit of this reward, or can no longer be asked.
async fn hub_answers(desk: &SharedDesk, reward: RewardId) {
    let heard = lock(desk).stock_signal();
    loop {
        let mut told = std::pin::pin!(heard.notified());
        // Before the look, so that nothing is missed in between.
        told.as_mut().enable();
        if !lock(desk).waits_for_unit(reward) {
            return;
        }
        told.await;
    }
}

async fn void(
    State(desk): State<SharedDesk>,
    Body(body): Body<VoidRequest>,
) -> Result<Json<Answer>, Failure> {
    ask(&desk, |desk, now| desk.void(body.entry, now)).map(Json)
}

async fn pass(
    State(desk): State<SharedDesk>,
    Path(pass): Path<String>,
) -> Result<Json<PassView>, Failure> {
    ask(&desk, |desk, _| desk.pass(&pass)).map(Json)
}

async fn activities(State(desk): State<SharedDesk>) -> impl IntoResponse {
    let mut desk = lock(&desk);
    desk.now();
    Json(desk.activities())
}

async fn choose_activity(
    State(desk): State<SharedDesk>,
    Body(body): Body<ActivityRequest>,
) -> Result<impl IntoResponse, Failure> {
    ask(&desk, |desk, _| desk.choose_activity(&body.event_id)).map(Json)
}

#[derive(Deserialize)]
struct PassQuery {
    pass: String,
}

#[derive(Deserialize)]
struct RewardsQuery {
    pass: String,
    check: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TariffsQuery {
    pass: String,
    event_id: Option<String>,
    regular_price_cents: Option<Cents>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MembershipPricesQuery {
    born_on: jiff::civil::Date,
    #[serde(default)]
    social_tariff: bool,
}

type Asked<T> = Result<Query<T>, axum::extract::rejection::QueryRejection>;

fn asked<T>(query: Asked<T>) -> Result<T, Failure> {
    query.map(|Query(query)| query).map_err(|rejection| {
        let kind = ProblemKind::QueryParameterMissing;
        problem(kind, StatusCode::BAD_REQUEST, rejection.body_text())
    })
}

async fn rewards(
    State(desk): State<SharedDesk>,
    query: Asked<RewardsQuery>,
) -> Result<Json<Vec<RewardView>>, Failure> {
    let RewardsQuery { pass, check } = asked(query)?;
    ask(&desk, |desk, now| desk.rewards(&pass, check.as_deref(), now)).map(Json)
}

async fn tariffs(
    State(desk): State<SharedDesk>,
    query: Asked<TariffsQuery>,
) -> Result<Json<TariffsView>, Failure> {
    let TariffsQuery { pass, event_id, regular_price_cents } = asked(query)?;
    ask(&desk, |desk, now| desk.tariffs(&pass, event_id.as_deref(), regular_price_cents, now))
        .map(Json)
}

async fn sell(
    State(desk): State<SharedDesk>,
    Body(body): Body<SaleRequest>,
) -> Result<Json<SaleAnswer>, Failure> {
    ask(&desk, |desk, now| desk.sell(&body, now)).map(Json)
}

async fn request(
    State(desk): State<SharedDesk>,
    Body(body): Body<RequestBody>,
) -> Result<Json<RequestView>, Failure> {
    ask(&desk, |desk, now| desk.request(body, now)).map(Json)
}

async fn requests(State(desk): State<SharedDesk>) -> Json<Vec<RequestView>> {
    Json(lock(&desk).requests())
}

async fn membership_prices(
    State(desk): State<SharedDesk>,
    query: Asked<MembershipPricesQuery>,
) -> Result<Json<Vec<MembershipPriceView>>, Failure> {
    let query = asked(query)?;
    let mut desk = lock(&desk);
    let now = desk.now();
    Ok(Json(desk.membership_prices(query.born_on, query.social_tariff, now)))
}

async fn sealed(
    State(desk): State<SharedDesk>,
    query: Asked<PassQuery>,
) -> Result<Json<SealedView>, Failure> {
    let query = asked(query)?;
    ask(&desk, |desk, _| desk.sealed(&query.pass)).map(Json)
}

async fn stock(State(desk): State<SharedDesk>) -> Json<Vec<StockView>> {
    Json(lock(&desk).stock())
}

async fn give_stock_back(State(desk): State<SharedDesk>) -> Result<Json<Vec<StockView>>, Failure> {
    ask(&desk, |desk, _| desk.give_stock_back().map_err(Refusal::Settings)).map(Json)
}

async fn status(State(desk): State<SharedDesk>) -> Json<Status> {
    let mut desk = lock(&desk);
    desk.now();
    Json(desk.status())
}

async fn events(
    State(desk): State<SharedDesk>,
) -> Sse<impl Stream<Item = Result<sse::Event, Infallible>>> {
    let (first, receiver) = {
        let mut desk = lock(&desk);
        desk.now();
        (Event::Status(Box::new(desk.status())), desk.subscribe())
    };
    let later = BroadcastStream::new(receiver).map(|event| event.unwrap_or(Event::Missed));
    let all = stream::once(async { first }).chain(later);
    Sse::new(all.map(|event| {
        let name = match &event {
            Event::Row(_) => "row",
            Event::Status(_) => "status",
            Event::Missed => "missed",
        };
        let data = serde_json::to_string(&event).unwrap_or_default();
        Ok(sse::Event::default().event(name).data(data))
    }))
    .keep_alive(KeepAlive::default())
}
