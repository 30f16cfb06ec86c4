// SPDX-License-Identifier: BSL-1.0
// The halves of a handshake, run on a connection that exists already.
#include "mp/authentication.hpp"

#include "wire/connection_state.hpp"
#include "wire/handshake.hpp"

#include <memory>
#include <utility>

namespace mp {

// In both directions: the use of a connection belongs to Connection. Which half comes
// first says which side this is, and what was said in it binds the second.
struct ConnectionHandshake {
    static void
    run(const Connection& connection,
        const AuthenticationString& key,
        connection::ChallengeOptions options,
        detail::HandshakeSide if_first) {
        const Connection::Use use(connection, Direction::read);
        const Connection::Use use_to_write(connection, Direction::write);
        const Deadline deadline(options.timeout);
        use.pass_over_refused(deadline);
        std::unique_ptr<detail::Binding> before = use.state().take_binding();
        const bool goes_on = before && before->side != if_first;
        detail::Handshake handshake(
            goes_on ? detail::HandshakePart::second : detail::HandshakePart::first,
            goes_on ? std::move(*before) : first_binding(if_first),
            key,
            {.allow_cpython = options.allow_cpython, .allow_md5 = options.allow_md5}
        );
        handshake.run(use.fd(), deadline);
        if (!goes_on) {
            use.state().keep_binding(
                std::make_unique<detail::Binding>(std::move(handshake).take_binding())
            );
        }
    }

private:
    static detail::Binding first_binding(detail::HandshakeSide side) {
        detail::Binding binding;
        binding.side = side;
        return binding;
    }
};

namespace connection {

void deliver_challenge(
    const Connection& connection,
    const AuthenticationString& key,
    ChallengeOptions options
) {
    ConnectionHandshake::run(connection, key, options, detail::HandshakeSide::server);
}

void answer_challenge(
    const Connection& connection,
    const AuthenticationString& key,
    ChallengeOptions options
) {
    ConnectionHandshake::run(connection, key, options, detail::HandshakeSide::client);
}

}  // namespace connection
}  // namespace mp
