// SPDX-License-Identifier: BSL-1.0
// DupFd: a descriptor (an open file, a socket) as a part of a message or an argument.
// Python:  multiprocessing.reduction.DupFd; what pickling a socket does.
// Differs: no server thread hands it over: it goes with the message itself. So it
//          travels over a Unix-domain socket and to a child that is being started, not
//          over TCP or a one-way pipe.
// Threads: one at a time.
// Owns:    the descriptor, shared by all copies in this process.
// Throws:  std::system_error (EBADF, EMFILE); StateError where it cannot travel.
#pragma once

#include "mp/detail/travelling_fd.hpp"
#include "mp/fd.hpp"

#include <cstdint>
#include <memory>
#include <utility>

namespace mp {

class DupFd {
public:
    /// None; something to assign to.
    DupFd() = default;

    /// Duplicates `fd`, which stays the caller's.
    explicit DupFd(int fd) : DupFd(UniqueFd::duplicate_of(fd)) {}

    explicit DupFd(UniqueFd fd) : fd_(std::make_shared<UniqueFd>(std::move(fd))) {}

    /// -1 when there is none (any more).
    int fileno() const noexcept { return fd_ ? fd_->get() : -1; }

    /// Gives the descriptor away, for all copies in this process.
    UniqueFd detach() noexcept { return fd_ ? std::move(*fd_) : UniqueFd(); }

    /// The other process gets a duplicate.
    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        std::uint32_t number = 0;
        if constexpr (Archive::is_saving::value) {
            number = detail::save_fd(fd_, fileno(), "a DupFd");
            archive& number;
        } else {
            archive& number;
            *this = DupFd(detail::load_fd(number));
        }
    }

private:
    std::shared_ptr<UniqueFd> fd_;
};

}  // namespace mp
