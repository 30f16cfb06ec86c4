// SPDX-License-Identifier: BSL-1.0
// open_signal_receiver: the signals that this process gets, as a stream.
// Python:  anyio.open_signal_receiver.
// Differs: an object in place of a context manager: its destructor stops it. The
//          numbers are int.
// Threads: its loop's; the signals may go to any thread.
// Throws:  Cancelled at each wait; RuntimeError outside a loop, and in another one.
#pragma once

#include "concurrency/coroutine.hpp"

#include <concepts>
#include <initializer_list>
#include <memory>
#include <optional>

namespace concurrency {

/// Receives signals until it is closed or destroyed; none is lost meanwhile, nor when a
/// task that waits is cancelled. While a signal has a receiver its action is to be
/// received; afterwards, when no other receiver or signal_set of Boost.Asio has it, it
/// is the default one. Each of several receivers of a signal gets it. Different signals
/// that come at once may be told in any order.
class SignalReceiver {
public:
    SignalReceiver(SignalReceiver&&) noexcept = default;
    SignalReceiver& operator=(SignalReceiver&& other) noexcept;
    ~SignalReceiver();

    /// Waits for a signal and gives its number. Throws ClosedResourceError when the
    /// receiver is closed, before or meanwhile, and BusyResourceError when another task
    /// waits for it.
    Task<int> receive();

    /// The same, but nothing when the receiver is closed: while (auto signal = co_await
    /// signals.next()). Python: `async for`.
    Task<std::optional<int>> next();

    /// Receives no more signals. Closing it again does nothing.
    void close() noexcept;

    // -- For the library.

    class State;

    /// Of signals that are received already.
    explicit SignalReceiver(std::shared_ptr<State> state) noexcept;

private:
    std::shared_ptr<State> state_;
};

namespace detail {

SignalReceiver open_signal_receiver(std::initializer_list<int> signals);

}  // namespace detail

/// Receives these signals from now on: auto signals = open_signal_receiver(SIGINT,
/// SIGTERM). Throws ValueError for what is no signal, or one that cannot be received
/// (SIGKILL, SIGSTOP), RuntimeError outside a loop.
template <std::same_as<int>... Signals>
[[nodiscard]] SignalReceiver open_signal_receiver(Signals... signals) {
    return detail::open_signal_receiver({signals...});
}

}  // namespace concurrency
