// SPDX-License-Identifier: BSL-1.0
// One byte and one descriptor, outside of the messages.
#include "mp/send_handle.hpp"

#include "os/fd_passing.hpp"
#include "wire/connection_state.hpp"

#include <array>

namespace mp {

namespace {

const Deadline no_end(forever);

// The byte that goes with the descriptors is their number.
constexpr std::byte one_descriptor{1};
constexpr std::byte acknowledgement{'A'};

}  // namespace

void send_handle(const Connection& connection, int fd, HandleOptions options) {
    const Connection::Use use(connection, Direction::write);
    os::send_with_fds(use.fd(), std::array{one_descriptor}, std::array{fd}, no_end);
    if (options.acknowledge) {
        std::array<std::byte, 1> answer{};
        os::receive_exactly(use.fd(), answer, no_end);
        if (answer[0] != acknowledgement) {
            os::throw_error(EBADMSG, "the receiver did not acknowledge a descriptor");
        }
    }
}

UniqueFd recv_handle(const Connection& connection, HandleOptions options) {
    const Connection::Use use(connection, Direction::read);
    use.pass_over_refused(no_end);
    std::array<std::byte, 1> count{};
    auto fds = os::receive_exactly_with_fds(use.fd(), count, 1, no_end);
    if (count[0] != one_descriptor) {
        os::throw_error(
            EBADMSG, "a descriptor came with something else than its number"
        );
    }
    if (options.acknowledge) {
        os::send_all(use.fd(), std::array{acknowledgement}, no_end);
    }
    return std::move(fds.front());
}

}  // namespace mp
