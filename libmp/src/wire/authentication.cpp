// SPDX-License-Identifier: BSL-1.0
// The halves of a handshake, run on a connection that exists already.
#include "mp/authentication.hpp"

#include "wire/connection_state.hpp"
#include "wire/handshake.hpp"

namespace mp {

// In both directions: the use of a connection belongs to Connection.
struct ConnectionHandshake {
    static void
    run(const Connection& connection,
        const AuthenticationString& key,
        connection::ChallengeOptions options,
        detail::HandshakeRole role) {
        const Connection::Use use(connection, Direction::read);
        const Connection::Use use_to_write(connection, Direction::write);
        detail::Handshake handshake(
            role, key, options.allow_md5 ? detail::Md5::allowed : detail::Md5::refused
        );
        handshake.run(use.fd(), Deadline(options.timeout));
    }
};

namespace connection {

void deliver_challenge(
    const Connection& connection,
    const AuthenticationString& key,
    ChallengeOptions options
) {
    ConnectionHandshake::run(connection, key, options, detail::HandshakeRole::deliver);
}

void answer_challenge(
    const Connection& connection,
    const AuthenticationString& key,
    ChallengeOptions options
) {
    ConnectionHandshake::run(connection, key, options, detail::HandshakeRole::answer);
}

}  // namespace connection
}  // namespace mp
