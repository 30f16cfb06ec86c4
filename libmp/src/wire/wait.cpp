// SPDX-License-Identifier: BSL-1.0
// One poll(2) for all that is waited for.
#include "mp/wait.hpp"

#include "os/check.hpp"
#include "os/poll.hpp"

#include <cerrno>
#include <string>

namespace mp::connection {

namespace {

[[noreturn]] void throw_not_open(std::size_t position, int fd) {
    os::throw_error(
        EBADF,
        ("wait: number " + std::to_string(position) + " is descriptor " +
         std::to_string(fd) + ", which is not open")
            .c_str()
    );
}

}  // namespace

std::vector<std::size_t> wait(std::span<const Waitable> things, Timeout timeout) {
    const Deadline deadline(timeout);
    std::vector<pollfd> fds;
    fds.reserve(things.size());
    for (const Waitable& thing : things) {
        if (thing.fd() < 0) {
            throw_not_open(fds.size(), thing.fd());  // poll(2) would skip it in silence
        }
        fds.push_back({.fd = thing.fd(), .events = POLLIN, .revents = 0});
    }
    std::vector<std::size_t> ready;
    os::poll(fds, deadline);
    for (std::size_t i = 0; i < fds.size(); ++i) {
        if ((fds[i].revents & POLLNVAL) != 0) {
            throw_not_open(i, fds[i].fd);
        }
        if (fds[i].revents != 0) {
            ready.push_back(i);
        }
    }
    return ready;
}

}  // namespace mp::connection
