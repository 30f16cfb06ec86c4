// SPDX-License-Identifier: BSL-1.0
// What tests of Connection share: an echo, the bare wire, and the sizes of messages at
// which something changes.
#pragma once

#include "mp/connection.hpp"
#include "mp/errors.hpp"

#include "os/socket.hpp"

#include <cstddef>
#include <utility>
#include <vector>

namespace test {

inline const mp::Deadline never(mp::forever);

/// Echoes until the other end is gone.
inline int echo(mp::Connection connection) {
    try {
        for (;;) {
            connection.send_bytes(connection.recv_bytes());
        }
    } catch (const mp::EOFError&) {
        return 0;
    }
}

/// A connection whose other end is the bare descriptor: the wire itself.
inline std::pair<mp::Connection, mp::UniqueFd> connection_and_wire() {
    auto [a, b] = mp::os::make_socketpair(mp::os::SocketKind::stream);
    return {mp::Connection(std::move(a)), std::move(b)};
}

inline const std::vector<std::size_t> message_sizes{
    0, 1, 4095, 4096, 4097, 16383, 16384, 16385, 65535, 65536, 65537, 200000, 3000000};

}  // namespace test
