//! One worker is one thread with one current-thread runtime: nothing on the request path crosses cores.

use hyper::rt::Executor;

/// Runs what hyper spawns on the worker's own thread.
#[derive(Clone, Copy, Debug)]
pub struct LocalExecutor;

impl<F: Future + 'static> Executor<F> for LocalExecutor
where
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
