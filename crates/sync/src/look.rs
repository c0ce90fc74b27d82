//! Looks at what there is to tell: a request that waits takes one, and another each time it is woken.

use bytes::Bytes;
use futures_util::future::BoxFuture;

/// What became of a look.
pub(crate) enum Look {
    /// The answer.
    Answer(Bytes),
    /// Nothing to tell; whether the client is woken by all that comes after it.
    Nothing { settled: bool },
}

/// Work that takes much memory, in a place of its own: a request that waits afterwards does not keep it.
pub(crate) fn boxed<'f, T>(work: impl Future<Output = T> + Send + 'f) -> BoxFuture<'f, T> {
    Box::pin(work)
}
