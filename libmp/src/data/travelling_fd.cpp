// SPDX-License-Identifier: BSL-1.0
// Which way the descriptors of this thread travel: with a message, or with a child.
#include "mp/detail/travelling_fd.hpp"

#include "mp/errors.hpp"

#include "data/spawning.hpp"

#include <string>
#include <utility>

namespace mp::detail {

namespace {

thread_local OutgoingFds* outgoing = nullptr;
thread_local IncomingFds* incoming = nullptr;

}  // namespace

OutgoingFds::OutgoingFds(bool allowed) noexcept
    : outer_(std::exchange(outgoing, this)), allowed_(allowed) {}

OutgoingFds::~OutgoingFds() {
    outgoing = outer_;
}

IncomingFds::IncomingFds() noexcept : outer_(std::exchange(incoming, this)) {}

IncomingFds::~IncomingFds() {
    incoming = outer_;
}

std::uint32_t save_fd(const TravelKey& key, int fd, const char* what) {
    if (outgoing == nullptr) {
        return hand_over(fd, what, key);
    }
    if (!outgoing->allowed_) {
        throw StateError(
            std::string(what) +
            " can travel only to a child that is being started or over a Unix-domain "
            "socket, such as a duplex Pipe"
        );
    }
    return outgoing->fds_.add(UniqueFd::duplicate_of(fd));
}

UniqueFd load_fd(std::uint32_t number) {
    if (incoming == nullptr) {
        return take_over(number);
    }
    UniqueFd fd = incoming->fds_.take(number);
    if (!fd) {
        throw SerializationError(
            SerializationPhase::decode,
            "descriptor " + std::to_string(number) +
                " did not come with the message (" +
                std::to_string(incoming->fds_.size()) + " did)"
        );
    }
    return fd;
}

}  // namespace mp::detail
