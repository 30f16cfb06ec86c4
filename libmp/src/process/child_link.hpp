// SPDX-License-Identifier: BSL-1.0
// child_link: what a parent and a child that runs the same program say to each other
// over the socket that the child begins with. See docs/protocols/child_start.md.
#pragma once

#include "mp/fd.hpp"
#include "mp/timeout.hpp"

#include "data/spawning.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace mp::detail {

/// Parent: sends the greeting, the descriptors, the body and the secrets.
/// Throws std::system_error when the child is gone, TimeoutError.
void send_start(
    int socket,
    std::span<const std::byte> body,
    std::span<const UniqueFd> fds,
    std::span<const TravellingSecret> secrets,
    const Deadline& deadline
);

struct StartMessage {
    std::vector<std::byte> body;
    std::vector<UniqueFd> fds;
    std::vector<TravellingSecret> secrets;
};

/// Child: receives them over a socket for which name_senders() was called. Throws
/// BinaryMismatch when the parent is another program, was built with other libraries or
/// is another user by now, EOFError when the parent is gone.
StartMessage receive_start(int socket);

/// Child: the answer. An empty text means: I run.
void send_answer(int socket, const std::string& refusal);

/// Parent: waits for it. Throws EOFError or std::system_error when the child is gone,
/// TimeoutError, BinaryMismatch with the child's text.
void receive_answer(int socket, const Deadline& deadline);

}  // namespace mp::detail
