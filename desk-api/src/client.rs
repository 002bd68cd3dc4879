//! The desk API's client: what the console and the command line use.

use std::io;
use std::path::{Path, PathBuf};

use crdt_model::ledger::EntryRef;
use crdt_model::money::Cents;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::net::UnixStream;

use crate::connection::{Connection, Kept};
use crate::place::socket_elsewhere;
use crate::types::{
    ActivityRequest, ActivityView, Answer, CardAnswer, CardCheckRequest, CardCheckView, Event,
    HistoryRow, MembershipPriceView, PassView, Problem, RedemptionRequest, RequestBody,
    RequestView, RewardView, SaleAnswer, SaleRequest, SealedView, Status, StockView, TapRequest,
    TariffsView, VoidRequest,
};

/// Why the daemon gave no answer that can be used.
#[derive(Debug, Error)]
pub enum ClientError {
    /// No daemon listens there.
    #[error(
        "the desk's daemon does not answer at {socket}. Nothing was recorded. Start it with: stempel-syncd"
    )]
    NoDaemon {
        /// Where it was looked for.
        socket: PathBuf,
    },
    /// The daemon says what is the matter.
    #[error(transparent)]
    Problem(#[from] Problem),
    /// The line to the daemon broke, or its answer cannot be read.
    #[error("the desk's daemon broke off ({0}). Look at the last taps before you try again")]
    Io(String),
}

impl From<hyper::Error> for ClientError {
    fn from(error: hyper::Error) -> Self {
        Self::Io(error.to_string())
    }
}

impl From<serde_json::Error> for ClientError {
    fn from(error: serde_json::Error) -> Self {
        Self::Io(error.to_string())
    }
}

/// The desk API, as a caller sees it.
#[derive(Debug, Clone)]
pub struct DeskClient {
    socket: PathBuf,
    /// Shared by all clones.
    kept: Kept,
}

impl DeskClient {
    /// A client of the daemon at this socket. Nothing is opened before the first call.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into(), kept: Kept::default() }
    }

    /// The daemon's socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// A card was tapped, or a number typed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn tap(&self, pass: &str) -> Result<Answer, ClientError> {
        let tap = TapRequest { pass: pass.to_owned(), checkin_code: None, check: None };
        self.answer_tap(&tap).await
    }

    /// The same, with all that is known of it: an activity's QR code, a check of the card.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn answer_tap(&self, tap: &TapRequest) -> Result<Answer, ClientError> {
        self.call(Method::POST, "/v1/taps", Some(tap)).await
    }

    /// A card was put on a reader: begins to check it, or to make one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn begin_card_check(
        &self,
        request: &CardCheckRequest,
    ) -> Result<CardCheckView, ClientError> {
        self.call(Method::POST, "/v1/card-checks", Some(request)).await
    }

    /// The card's answer to what was asked of it in a check.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn answer_card_check(
        &self,
        check: &str,
        answer: &CardAnswer,
    ) -> Result<CardCheckView, ClientError> {
        let path = format!("/v1/card-checks/{}/answers", in_url(check));
        self.call(Method::POST, &path, Some(answer)).await
    }

    /// What a pass pays for a ticket.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn tariffs(
        &self,
        pass: &str,
        event_id: Option<&str>,
        regular_price: Option<Cents>,
    ) -> Result<TariffsView, ClientError> {
        let mut path = format!("/v1/tariffs?pass={}", in_url(pass));
        if let Some(event_id) = event_id {
            path.push_str(&format!("&eventId={}", in_url(event_id)));
        }
        if let Some(price) = regular_price {
            path.push_str(&format!("&regularPriceCents={}", price.0));
        }
        self.get(&path).await
    }

    /// Sells tickets.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn sell(&self, sale: &SaleRequest) -> Result<SaleAnswer, ClientError> {
        self.call(Method::POST, "/v1/ticket-sales", Some(sale)).await
    }

    /// Asks something of the hub about somebody's card.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn request(&self, body: &RequestBody) -> Result<RequestView, ClientError> {
        self.call(Method::POST, "/v1/requests", Some(body)).await
    }

    /// Requests, newest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn requests(&self) -> Result<Vec<RequestView>, ClientError> {
        self.get("/v1/requests").await
    }

    /// What a pass costs for somebody born on this day.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn membership_prices(
        &self,
        born: jiff::civil::Date,
        social_tariff: bool,
    ) -> Result<Vec<MembershipPriceView>, ClientError> {
        self.get(&format!("/v1/membership-prices?bornOn={born}&socialTariff={social_tariff}")).await
    }

    /// The sealed part of a record: whoever has the card opens it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn sealed(&self, pass: &str) -> Result<SealedView, ClientError> {
        self.get(&format!("/v1/holders?pass={}", in_url(pass))).await
    }

    /// What this desk may hand out of limited rewards.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn stock(&self) -> Result<Vec<StockView>, ClientError> {
        self.get("/v1/stock").await
    }

    /// Gives all granted units back.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn give_stock_back(&self) -> Result<Vec<StockView>, ClientError> {
        self.call(Method::DELETE, "/v1/stock", None::<&()>).await
    }

    /// A reward is to be handed out.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn redeem(
        &self,
        pass: &str,
        check: Option<&str>,
        reward_id: &str,
    ) -> Result<Answer, ClientError> {
        let body = RedemptionRequest {
            pass: pass.to_owned(),
            reward_id: reward_id.to_owned(),
            check: check.map(ToOwned::to_owned),
        };
        self.call(Method::POST, "/v1/redemptions", Some(&body)).await
    }

    /// An entry is to be taken back; without one, the last.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn void(&self, entry: Option<EntryRef>) -> Result<Answer, ClientError> {
        self.call(Method::POST, "/v1/voids", Some(&VoidRequest { entry })).await
    }

    /// How a pass stands.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn pass(&self, pass: &str) -> Result<PassView, ClientError> {
        self.get(&format!("/v1/passes/{}", in_url(pass))).await
    }

    /// The venue's activities.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn activities(&self) -> Result<Vec<ActivityView>, ClientError> {
        self.get("/v1/activities").await
    }

    /// Chooses the desk's activity.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn choose_activity(&self, event_id: &str) -> Result<ActivityView, ClientError> {
        let body = ActivityRequest { event_id: event_id.to_owned() };
        self.call(Method::PUT, "/v1/desk/activity", Some(&body)).await
    }

    /// What a pass can have.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rewards(
        &self,
        pass: &str,
        check: Option<&str>,
    ) -> Result<Vec<RewardView>, ClientError> {
        let check = check.map(|check| format!("&check={}", in_url(check))).unwrap_or_default();
        self.get(&format!("/v1/rewards?pass={}{check}", in_url(pass))).await
    }

    /// The desk's state.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.get("/v1/status").await
    }

    /// The last taps, newest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn history(&self) -> Result<Vec<HistoryRow>, ClientError> {
        self.get("/v1/taps").await
    }

    /// The events from now on; the first is the status.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn events(&self) -> Result<EventStream, ClientError> {
        let request = request(Method::GET, "/v1/events", Bytes::new())?;
        let response = self.connected().await?.listen(request).await?;
        Ok(EventStream { body: response.into_body(), buffer: Vec::new() })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Method::GET, path, None::<&()>).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, ClientError> {
        let body = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        let request = request(method, path, body.into())?;
        let mut connection = match self.kept.take() {
            Some(connection) => connection,
            None => self.connected().await?,
        };
        let (status, bytes) = connection.ask(request).await?;
        self.kept.put(connection);
        if status.is_success() {
            Ok(serde_json::from_slice(&bytes)?)
        } else {
            Err(serde_json::from_slice::<Problem>(&bytes)?.into())
        }
    }

    /// A daemon whose disk takes no socket listens elsewhere.
    async fn connect(&self) -> io::Result<UnixStream> {
        match UnixStream::connect(&self.socket).await {
            Err(error) => match socket_elsewhere(&self.socket) {
                Some(elsewhere) => UnixStream::connect(elsewhere).await.map_err(|_| error),
                None => Err(error),
            },
            connected => connected,
        }
    }

    async fn connected(&self) -> Result<Connection, ClientError> {
        let stream = self.connect().await.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ClientError::NoDaemon { socket: self.socket.clone() }
            }
            _ => ClientError::Io(error.to_string()),
        })?;
        Connection::on(stream).await.map_err(|error| ClientError::Io(error.to_string()))
    }
}

fn request(method: Method, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, ClientError> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "desk")
        .header("content-type", "application/json")
        .body(Full::new(body));
    request.map_err(|error| ClientError::Io(error.to_string()))
}

/// What a person typed, so that it can stand in a URL: what is not plain is percent-encoded.
fn in_url(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The daemon's events (server-sent events).
#[derive(Debug)]
pub struct EventStream {
    body: Incoming,
    buffer: Vec<u8>,
}

impl EventStream {
    /// The next event; `None` when the daemon has ended.
    pub async fn next(&mut self) -> Option<Result<Event, ClientError>> {
        loop {
            while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                if let Some(data) = line.strip_prefix(b"data:") {
                    return Some(serde_json::from_slice(data).map_err(ClientError::from));
                }
            }
            match self.body.frame().await? {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Err(error) => return Some(Err(error.into())),
            }
        }
    }
}
