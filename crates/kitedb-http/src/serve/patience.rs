//! How long a client is waited for that does not go on: with the body of its request, or with taking the answer. Each connection has
//! one of the places that there are, and whoever keeps one for nothing keeps others out.

use hyper::body::{Body, Frame, SizeHint};
use std::{
    error::Error,
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// So long a body may take to arrive, of which there are 2 MiB at most.
const BODY_PATIENCE: Duration = Duration::from_secs(60);
/// So long a client may take nothing of an answer.
const TAKING_PATIENCE: Duration = Duration::from_secs(30);

/// A stream whose writes fail once the other side has taken nothing for too long.
#[derive(Debug)]
pub(super) struct Taken<S> {
    stream: S,
    /// Until when it must take something, since it last did not.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Taken<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, stalled: None }
    }

    /// What a write came to: one that must wait does so for a while only.
    fn within<T>(&mut self, done: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.stalled = None;
            return done;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(TAKING_PATIENCE)));
        stalled.as_mut().poll(cx).map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "nobody takes the answer")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Taken<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Taken<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.within(done, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.within(done, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_flush(cx);
        self.within(done, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.within(done, cx)
    }
}

/// A body that must be there in time, counted from when it is read.
pub(super) struct Arriving<B> {
    body: B,
    until: Option<Pin<Box<Sleep>>>,
}

impl<B> Arriving<B> {
    pub fn new(body: B) -> Self {
        Self { body, until: None }
    }
}

impl<B> Body for Arriving<B>
where
    B: Body + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = B::Data;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<B::Data>>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(io::Error::other)));
        }
        let until = self.until.get_or_insert_with(|| Box::pin(sleep(BODY_PATIENCE)));
        let late = || io::Error::new(io::ErrorKind::TimedOut, "the body takes too long");
        until.as_mut().poll(cx).map(|()| Some(Err(late())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Bytes;
    use http_body_util::{BodyExt, channel::Channel};
    use std::convert::Infallible;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        time::{Instant, advance},
    };

    /// The clock of these tests goes on by itself when nothing else can.
    #[tokio::test(start_paused = true)]
    async fn what_nobody_takes_is_given_up_and_what_is_taken_slowly_is_not() {
        let (mut client, server) = duplex(10);
        let mut server = Taken::new(server);
        let began = Instant::now();
        let slow = tokio::spawn(async move {
            let mut taken = [0; 10];
            for _ in 0..5 {
                sleep(TAKING_PATIENCE - Duration::from_millis(1)).await;
                client.read_exact(&mut taken).await.unwrap();
            }
            client
        });
        server.write_all(&[7; 60]).await.unwrap();
        let _client = slow.await.unwrap();
        assert!(began.elapsed() > 4 * TAKING_PATIENCE);

        let before = Instant::now();
        let failed = server.write_all(b"x").await.unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
        assert_eq!(before.elapsed().as_secs(), TAKING_PATIENCE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_drips_is_not_waited_for_forever() {
        let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
        tokio::spawn(async move {
            while sender.send_data(Bytes::from_static(b" ")).await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        });
        let failed = Arriving::new(body).collect().await.unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::TimedOut);

        let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
        sender.send_data(Bytes::from_static(b"{}")).await.unwrap();
        drop(sender);
        advance(2 * BODY_PATIENCE).await;
        assert_eq!(Arriving::new(body).collect().await.unwrap().to_bytes(), "{}");
    }
}
