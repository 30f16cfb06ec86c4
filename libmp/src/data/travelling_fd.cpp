// SPDX-License-Identifier: BSL-1.0
#include "mp/detail/travelling_fd.hpp"

#include "mp/errors.hpp"

#include "data/spawning.hpp"

#include <iterator>
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

void IncomingFds::add(std::vector<UniqueFd> fds) {
    fds_.insert(
        fds_.end(), std::move_iterator(fds.begin()), std::move_iterator(fds.end())
    );
}

std::uint32_t save_fd(int fd, const char* what) {
    if (outgoing == nullptr) {
        return hand_over(fd, what);
    }
    if (!outgoing->allowed_) {
        throw StateError(
            std::string(what) +
            " can travel only to a child that is being started or over a Unix-domain "
            "socket, such as a duplex Pipe"
        );
    }
    outgoing->fds_.push_back(UniqueFd::duplicate_of(fd));
    return static_cast<std::uint32_t>(outgoing->fds_.size() - 1);
}

UniqueFd load_fd(std::uint32_t number) {
    if (incoming == nullptr) {
        return take_over(number);
    }
    if (number >= incoming->fds_.size() || !incoming->fds_[number]) {
        throw SerializationError(
            SerializationPhase::decode,
            "descriptor " + std::to_string(number) +
                " did not come with the message (" +
                std::to_string(incoming->fds_.size()) + " did)"
        );
    }
    return std::move(incoming->fds_[number]);
}

}  // namespace mp::detail
