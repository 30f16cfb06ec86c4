// SPDX-License-Identifier: BSL-1.0
#include "concurrency/asio.hpp"
#include "concurrency/loop/loop.hpp"
#include "concurrency/signals.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/signal_set.hpp>

#include <string>
#include <tuple>
#include <utility>

namespace concurrency {

using boost::system::error_code;

class SignalReceiver::State final : private detail::LoopEnd {
public:
    State() : loop_(detail::this_task().loop()), signals_(get_executor()) {
        loop_.at_end(*this);
    }

    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() = default;

    void add(int signal) {
        error_code error;
        signals_->add(signal, error);
        if (error == boost::asio::error::invalid_argument) {
            throw ValueError(
                "signal " + std::to_string(signal) + " cannot be received"
            );
        }
        if (error) {
            throw boost::system::system_error(error, "open_signal_receiver");
        }
    }

    void close() noexcept {
        if (!std::exchange(closed_, true)) {
            error_code ignored;
            signals_->clear(ignored);
            try {
                signals_->cancel(ignored);
            } catch (...) {
                // The tasks that wait learn it when the receiver goes.
            }
        }
    }

    static Task<int> receive(std::shared_ptr<State> state) {
        const std::optional<int> signal = co_await next(std::move(state));
        if (!signal) {
            throw ClosedResourceError("the receiver of signals has been closed");
        }
        co_return *signal;
    }

    /// Nothing when it is closed.
    static Task<std::optional<int>> next(std::shared_ptr<State> state) {
        if (!state) {
            throw ClosedResourceError("the receiver of signals has been moved away");
        }
        const detail::LoopTask& task = detail::this_task();
        if (!state->closed_ && &task.loop() != &state->loop_) {
            throw RuntimeError("this receiver of signals belongs to another loop");
        }
        task.check_cancelled();
        if (state->closed_) {
            co_return std::nullopt;
        }
        if (state->busy_) {
            throw BusyResourceError("another task waits for signals here");
        }
        // Asio would give one signal to all waits of a set.
        const InUse in_use(state->busy_);
        const auto [error, signal] =
            co_await state->signals_->async_wait(boost::asio::as_tuple(use_task));
        if (!error) {
            co_return signal;
        }
        if (!state->closed_) {
            throw boost::system::system_error(error, "receiving a signal");
        }
        co_return std::nullopt;
    }

private:
    class InUse {
    public:
        explicit InUse(bool& flag) noexcept : flag_(flag) { flag_ = true; }

        InUse(const InUse&) = delete;
        InUse& operator=(const InUse&) = delete;

        ~InUse() { flag_ = false; }

    private:
        bool& flag_;
    };

    /// The receiver may outlive the executor, which its signal_set may not.
    void loop_ended() noexcept override {
        closed_ = true;
        signals_.reset();
    }

    detail::Loop& loop_;
    std::optional<boost::asio::signal_set> signals_;
    bool closed_ = false;
    bool busy_ = false;
};

SignalReceiver::SignalReceiver(std::shared_ptr<State> state) noexcept
    : state_(std::move(state)) {}

SignalReceiver& SignalReceiver::operator=(SignalReceiver&& other) noexcept {
    if (this != &other) {
        close();
        state_ = std::move(other.state_);
    }
    return *this;
}

SignalReceiver::~SignalReceiver() {
    close();
}

Task<int> SignalReceiver::receive() {
    return State::receive(state_);
}

Task<std::optional<int>> SignalReceiver::next() {
    return State::next(state_);
}

void SignalReceiver::close() noexcept {
    if (state_) {
        state_->close();
    }
}

SignalReceiver detail::open_signal_receiver(std::initializer_list<int> signals) {
    auto state = std::make_shared<SignalReceiver::State>();
    for (const int signal : signals) {
        state->add(signal);
    }
    return SignalReceiver(std::move(state));
}

}  // namespace concurrency
