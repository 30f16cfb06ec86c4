// SPDX-License-Identifier: BSL-1.0
// The handle of a Listener.
#include "mp/listener.hpp"

#include "os/check.hpp"
#include "wire/listener_state.hpp"

#include <cerrno>
#include <utility>

namespace mp::connection {

Listener::Listener(ListenerOptions options)
    : state_(std::make_shared<State>(std::move(options))) {}

Listener::Listener(Listener&&) noexcept = default;

Listener& Listener::operator=(Listener&& other) noexcept {
    close();
    state_ = std::move(other.state_);
    return *this;
}

Listener::~Listener() {
    close();
}

Connection Listener::accept(Timeout timeout) {
    const Deadline deadline(timeout);
    const std::shared_ptr<State> state = state_;
    if (!state) {
        os::throw_error(EBADF, "the listener is closed");
    }
    return state->accept(deadline);
}

ListenerStatistics Listener::statistics() const {
    return state_ ? state_->statistics() : ListenerStatistics();
}

void Listener::close() noexcept {
    if (state_) {
        state_->close();
    }
}

const Address& Listener::address() const {
    if (!state_) {
        os::throw_error(EBADF, "the listener was moved away");
    }
    return state_->address();
}

std::optional<Address> Listener::last_accepted() const {
    return state_ ? state_->last_accepted() : std::nullopt;
}

int Listener::fileno() const {
    if (!state_) {
        os::throw_error(EBADF, "the listener is closed");
    }
    return state_->fileno();
}

bool Listener::closed() const noexcept {
    return !state_ || state_->closed();
}

}  // namespace mp::connection
