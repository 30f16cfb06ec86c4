// SPDX-License-Identifier: BSL-1.0
// Client(): connects to the first of an address's endpoints that answers, and proves
// the key.
#include "mp/errors.hpp"
#include "mp/listener.hpp"

#include "os/check.hpp"
#include "os/credentials.hpp"
#include "os/hmac.hpp"
#include "wire/endpoint.hpp"
#include "wire/handshake.hpp"

#include <sys/types.h>

#include <cerrno>
#include <exception>
#include <stdexcept>
#include <string>
#include <system_error>

namespace mp::connection {

namespace {

UniqueFd call(const ClientOptions& options, const Deadline& deadline) {
    if (options.address.empty()) {
        throw std::invalid_argument("a Client needs an address");
    }
    // A host's name may have several: the first that answers is meant.
    std::exception_ptr failure;
    for (const detail::Endpoint& endpoint :
         detail::endpoints_of(options.address, options.family, false)) {
        try {
            return detail::connect_to(endpoint, deadline);
        } catch (const std::system_error&) {
            if (!failure) {
                failure = std::current_exception();
            }
        }
    }
    std::rethrow_exception(failure);
}

// Who can make a file at the path, or take a name that is free, could have put a server
// of its own there.
void check_server(const ClientOptions& options, int socket) {
    if (options.address.family() != Family::unix_socket ||
        options.peer == PeerUser::any_user) {
        return;
    }
    const os::Peer peer = os::peer_of(socket);
    if (!os::is_own_user_or_root(peer)) {
        os::throw_error(
            EACCES,
            ("the server at " + to_string(options.address) + " is of user " +
             std::to_string(peer.user) + ", which needs .peer = any_user")
                .c_str()
        );
    }
}

}  // namespace

Connection Client(const ClientOptions& options) {
    const Deadline deadline(options.timeout);
    if (options.authkey) {
        os::load_crypto();
    }
    UniqueFd socket = call(options, deadline);
    check_server(options, socket.get());
    if (options.authkey) {
        detail::Handshake(
            detail::HandshakeSide::client,
            *options.authkey,
            {.allow_cpython = options.allow_cpython, .allow_md5 = options.allow_md5}
        )
            .run(socket.get(), deadline);
    }
    return Connection(
        std::move(socket),
        ConnectionOptions{
            .direction = Direction::both, .max_message_size = options.max_message_size}
    );
}

}  // namespace mp::connection
