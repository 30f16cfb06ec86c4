// SPDX-License-Identifier: BSL-1.0
// deliver_challenge, answer_challenge: the halves of the handshake by which Listener
// and Client prove to each other that they hold the same key.
// Python:  multiprocessing.connection.deliver_challenge, answer_challenge.
// Differs: they take a timeout, and refuse MD5, which is all that CPython 3.11 and
//          older know, unless `.allow_md5`. A message that is too long is an
//          AuthenticationError. Between two of this library the second half is bound
//          to the first, on both sides: the side that delivers first is the server.
//          So both halves belong to one process: a connection that is sent to another
//          one between them does not get through.
// Threads: as Connection.
// Throws:  AuthenticationError: the other side has another key, or does not keep to the
//          protocol; the connection is of no use then. TimeoutError, EOFError,
//          std::system_error.
#pragma once

#include "mp/connection.hpp"
#include "mp/identity.hpp"
#include "mp/timeout.hpp"

namespace mp::connection {

struct ChallengeOptions {
    /// How long the other side may take.
    Timeout timeout = forever;
    /// Whether it may know nothing but MD5 (CPython 3.11 and older).
    bool allow_md5 = false;
    /// Whether the other side may be CPython, or has to be of this library.
    bool allow_cpython = true;
};

/// Asks the other side for a proof that it holds the key, and tells it the verdict.
/// Blocks until it has answered.
void deliver_challenge(
    const Connection& connection,
    const AuthenticationString& key,
    ChallengeOptions options = {}
);

/// The other half. Blocks until the other side has asked and judged.
void answer_challenge(
    const Connection& connection,
    const AuthenticationString& key,
    ChallengeOptions options = {}
);

}  // namespace mp::connection
