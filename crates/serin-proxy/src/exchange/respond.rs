//! The answer on its way downstream, while the rest of the request may still be on its way up.

use serin_routing::response::{BrokenOff, grpc_status_of};

use super::attempt::{Sending, is_malformed};
use super::forward::Trip;
use super::progress::{Progress, Step};
use super::{Ended, reply};
use crate::body::{BodyError, Broken, GrpcFrames, Sink, Source};
use crate::request::{Request, Upgrade};
use crate::response::{Length, Responder, Response};
use crate::upstream::{Answer, Target};
use crate::websocket;

/// An answer that is to go downstream.
pub(super) struct Delivery<'d> {
    pub(super) trip: &'d Trip<'d>,
    pub(super) request: &'d Request,
    /// The endpoint that it comes from.
    pub(super) target: &'d Target,
    pub(super) progress: &'d Progress,
    /// The rest of the request.
    pub(super) sending: Sending<'d>,
    pub(super) is_sending: bool,
}

impl Delivery<'_> {
    /// Sends the answer; and whether the upstream connection can serve again.
    pub(super) async fn respond(
        mut self,
        mut response: Response,
        answer: Answer<'_>,
        responder: &mut Responder<'_>,
    ) -> (Ended, bool) {
        let is_switch = self.is_switch(&response, &answer);
        let length = if is_switch { Length::Tunnel } else { answer.length() };
        let is_reusable = answer.is_reusable();
        if is_switch {
            self.switch(&mut response, &answer, responder.switches_by_status());
        }
        let Some(mut source) = answer.into_body() else { return (Ended::Broken, false) };
        self.finish_head(&mut response);
        responder.record.details = "via_upstream";
        responder.record.status = response.status;
        responder.record.grpc_status = response.headers.grpc_status();
        let Ok(mut sink) = responder.start(&response, length) else {
            responder.record.abandoned();
            return (Ended::Broken, false);
        };
        self.progress.switched.set(is_switch);
        self.progress.moved();
        let relayed = self.relay(&mut source, &mut sink, responder).await;
        let record = &mut responder.record;
        let is_told = !matches!(relayed, Err(Broken::Sink));
        if is_told && record.grpc_status.is_none() && super::is_grpc(self.request) {
            // What a client of gRPC makes of an answer without a status.
            record.grpc_status = Some(u32::from(grpc_status_of(record.status)));
        }
        match relayed {
            Ok(()) => {
                if let Some(detail) = &mut responder.record.detail {
                    detail.delivered = Some(self.trip.exchange.worker.clock.now());
                    detail.trailers.clone_from(source.trailers());
                }
                (Ended::Complete, is_reusable && self.progress.sent.get() && !is_switch)
            }
            Err(Broken::Sink) => {
                responder.record.abandoned();
                (Ended::Broken, false)
            }
            Err(Broken::Source(error)) => {
                tracing::debug!(%error, "the answer broke off");
                responder.record.broken_off(why(&error));
                (Ended::Broken, false)
            }
        }
    }

    /// Whether the answer makes a tunnel: 101 in HTTP/1, success in HTTP/2 (RFC 8441 §5).
    fn is_switch(&self, response: &Response, answer: &Answer<'_>) -> bool {
        self.request.upgrade == Upgrade::WebSocket
            && match answer {
                Answer::Http1(_) => response.status == 101,
                Answer::Http2(_) => matches!(response.status, 200..=299),
            }
    }

    fn finish_head(&self, response: &mut Response) {
        self.tell_service_time(response);
        if let Some(cookie) = &self.trip.forwarding.cookie {
            response.headers.append(b"set-cookie", cookie.header().as_bytes());
        }
        let (exchange, decision) = (self.trip.exchange, Some(self.trip.decision));
        reply::finish_head(exchange, self.request, decision, Some(self.target), response);
    }

    /// How long the upstream took, in milliseconds. As in Envoy it counts from when the whole request was there, whatever tries there were;
    /// of an answer that came before that, and of a tunnel, nothing is said.
    fn tell_service_time(&self, response: &mut Response) {
        let Some(whole) = self.progress.whole() else { return };
        let now = self.trip.exchange.worker.clock.now();
        let elapsed = now.since(whole.max(self.trip.started)).as_millis();
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
        response.headers.set_number(b"x-envoy-upstream-service-time", elapsed);
    }

    /// Says in the client's version that the connection is a tunnel now.
    fn switch(&self, response: &mut Response, answer: &Answer<'_>, by_status: bool) {
        if by_status {
            response.status = 101;
            response.headers.set(b"upgrade", b"websocket");
            // HTTP/2 knows neither a key nor what it is accepted by (RFC 8441 §5).
            if let (Answer::Http2(_), Some(key)) =
                (answer, self.request.headers.find(websocket::KEY))
            {
                response.headers.append(websocket::ACCEPT, websocket::accept(key).as_bytes());
            }
        } else {
            response.status = 200;
            response.headers.remove(websocket::ACCEPT);
        }
    }

    /// Carries the answer's body, and goes on sending the request's.
    async fn relay(
        &mut self,
        source: &mut Source<'_>,
        sink: &mut Sink<'_>,
        responder: &mut Responder<'_>,
    ) -> Result<(), Broken> {
        let is_grpc = responder.record.grpc_status.is_none() && super::is_grpc(self.request);
        let mut frames = is_grpc.then(GrpcFrames::default);
        let progress = self.progress;
        let record = &mut responder.record;
        {
            let carry = carry(source, sink, |piece| {
                record.response_bytes += piece.len() as u64;
                progress.moved();
                if let Some(frames) = &mut frames {
                    frames.see(piece);
                    record.response_messages = frames.count();
                }
            });
            let mut carry = std::pin::pin!(carry);
            loop {
                let sending = self.is_sending.then_some(&mut self.sending);
                match progress.with_sending(sending, carry.as_mut()).await {
                    Step::Sending(Err(Broken::Source(_))) => return Err(Broken::Sink),
                    // The upstream wants no more of the request; its answer counts.
                    Step::Sending(Err(Broken::Sink)) => self.is_sending = false,
                    Step::Other(carried) => {
                        carried?;
                        break;
                    }
                }
            }
        }
        if record.grpc_status.is_none() {
            record.grpc_status = source.trailers().grpc_status();
        }
        Ok(())
    }
}

/// Why an answer ended before its end.
fn why(error: &BodyError) -> BrokenOff {
    match error {
        BodyError::Http2(error) if is_malformed(error) => BrokenOff::Malformed,
        BodyError::Http2(error) if error.is_reset() => BrokenOff::Reset,
        BodyError::Malformed(_) | BodyError::Truncated => BrokenOff::Malformed,
        BodyError::Http2(_) | BodyError::Io(_) | BodyError::GivenUp => BrokenOff::Closed,
    }
}

async fn carry(
    source: &mut Source<'_>,
    sink: &mut Sink<'_>,
    mut see: impl FnMut(&[u8]),
) -> Result<(), Broken> {
    loop {
        match sink.next_of(source).await {
            Ok(true) => {}
            Ok(false) => break,
            Err(broken) => {
                // What was sound leaves before the answer breaks off; if the client is gone, that is why.
                let _ = sink.flush().await;
                return Err(broken);
            }
        }
        see(&source.piece());
        sink.write(source.piece()).await.map_err(|_| Broken::Sink)?;
        source.consume();
    }
    sink.finish(source.trailers()).await.map_err(|_| Broken::Sink)
}
