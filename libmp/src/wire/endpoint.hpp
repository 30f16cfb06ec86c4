// SPDX-License-Identifier: BSL-1.0
// endpoint: addresses in the kernel's form, and the sockets that wait at them or call
// them.
#pragma once

#include "mp/address.hpp"
#include "mp/fd.hpp"
#include "mp/timeout.hpp"

#include <sys/socket.h>

#include <optional>
#include <utility>
#include <vector>

namespace mp::detail {

struct Endpoint {
    sockaddr_storage storage{};
    socklen_t size = sizeof(sockaddr_storage);

    int family() const noexcept { return storage.ss_family; }

    sockaddr* address() noexcept { return reinterpret_cast<sockaddr*>(&storage); }

    const sockaddr* address() const noexcept {
        return reinterpret_cast<const sockaddr*>(&storage);
    }
};

/// What the kernel knows `address` as, the best first; asks for the host's name if it
/// is no number, which may block. Throws std::system_error when there is no such host
/// or the path is too long; std::invalid_argument when the address is not of `family`.
std::vector<Endpoint> endpoints_of(
    const connection::Address& address,
    std::optional<connection::Family> family,
    bool to_listen
);

connection::Address address_of(const Endpoint& endpoint);

/// Where a socket is bound.
connection::Address bound_address(int socket);

/// A non-blocking socket that listens. At a path in the file system: replaces what a
/// server that is dead left there, and only that (docs/protocols/listener.md).
/// Throws std::system_error: EADDRINUSE, EACCES ...
UniqueFd listen_at(const Endpoint& endpoint, int backlog);

/// A blocking socket, connected. Throws std::system_error (ECONNREFUSED, ENOENT ...)
/// and TimeoutError.
UniqueFd connect_to(const Endpoint& endpoint, const Deadline& deadline);

/// Sends small messages at once, on a TCP socket.
void send_without_delay(int socket) noexcept;

}  // namespace mp::detail
