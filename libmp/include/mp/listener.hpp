// SPDX-License-Identifier: BSL-1.0
// Listener, Client: connections between processes that are not related.
// Python:  multiprocessing.connection.Listener, Client.
// Differs: accept() and Client() take a timeout, and have many handshakes under way at
//          once: a client that is silent keeps nobody waiting, and is dropped at
//          `.handshake_timeout`. Over a Unix-domain socket only processes of the same
//          user, or root, may come (unless `.any_user`) and be called (unless
//          `.peer = any_user`). A socket file that a dead
//          server left is replaced. Without an address a Unix-domain socket gets an
//          abstract one, which leaves nothing behind. The backlog is 128, not 1.
// Threads: any number may be in accept(); close() at any time, it ends them.
// Processes: a forked child may go on accepting at the same address; handshakes that
//          were under way stay the parent's. Only the process that made it removes the
//          socket's file.
// Owns:    the socket, its file, and the clients that are not yet accepted.
// Throws:  std::system_error (EADDRINUSE, EACCES, ECONNREFUSED ...; EBADF when closed),
//          AuthenticationError, TimeoutError, std::invalid_argument.
#pragma once

#include "mp/address.hpp"
#include "mp/connection.hpp"
#include "mp/identity.hpp"
#include "mp/timeout.hpp"

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

namespace mp {

/// Which user the server at a Unix-domain socket may be.
enum class PeerUser : std::uint8_t {
    own_user_or_root,  ///< this process's own, or root
    any_user,          ///< whoever listens there
};

/// For `Client({.peer = mp::any_user})`.
inline constexpr PeerUser any_user = PeerUser::any_user;

}  // namespace mp

namespace mp::connection {

using mp::any_user;
using mp::PeerUser;

/// The key that both ends must hold, or none: then there is no handshake. An empty text
/// is a key.
class AuthKey {
public:
    AuthKey() = default;

    // NOLINTBEGIN(google-explicit-constructor): a key is text or bytes
    /// No key.
    AuthKey(std::nullopt_t) {}

    /// This key.
    AuthKey(AuthenticationString key) : key_(std::move(key)) {}

    /// A key of this text's bytes.
    template <class Text>
        requires std::convertible_to<const Text&, std::string_view>
        AuthKey(const Text& text)
            : key_(AuthenticationString(std::string_view(text))) {}

        /// A key of these bytes.
        template <class Bytes>
            requires std::convertible_to<const Bytes&, std::span<const std::byte>>
            AuthKey(const Bytes& bytes)
                : key_(AuthenticationString(std::span<const std::byte>(bytes))) {}

            // NOLINTEND(google-explicit-constructor)

            explicit operator bool() const noexcept {
                return key_.has_value();
            }

            /// Requires: there is one.
            const AuthenticationString& operator*() const {
                return *key_;
            }

        private:
            std::optional<AuthenticationString> key_;
};

struct ListenerOptions {
    /// None: one is found, for TCP a port of this machine alone.
    Address address{};
    /// Which kind to find when there is no address (TCP over IPv4 if this is none,
    /// too), or which one a host's name must resolve to.
    std::optional<Family> family{};
    /// How many clients may wait for accept().
    int backlog = 128;
    /// What clients must hold; without one, everybody who can reach the address may
    /// come.
    AuthKey authkey{};
    /// A client that has not proved that it holds the key by then is dropped.
    Timeout handshake_timeout = std::chrono::seconds(10);
    /// Whether clients of CPython 3.11 and older, which know nothing but MD5, may come.
    bool allow_md5 = false;
    /// Whether processes of other users may come over a Unix-domain socket.
    bool any_user = false;
    /// The longest message that is received from a client, in bytes; a longer one is
    /// std::system_error(EMSGSIZE) there, before memory is taken for it. None: any
    /// length.
    std::optional<std::size_t> max_message_size{};
    /// Whether accept() throws what a client did wrong that never was one: that spoke
    /// another protocol (AuthenticationError), or went in the middle of the handshake
    /// (EOFError, std::system_error). Otherwise it is counted, and the next one served.
    bool throw_protocol_errors = false;
    /// Whether clients may be CPython's; otherwise they have to be of this library, and
    /// the handshake is one that nobody can pass on to others in part.
    bool allow_cpython = true;
};

/// What became of a Listener's clients so far, in this process: a forked child begins
/// with nothing.
struct ListenerStatistics {
    /// Handed out by accept().
    std::uint64_t accepted = 0;
    /// With another key, or with an older handshake than allowed: accept() threw.
    std::uint64_t authentication_failures = 0;
    /// Spoke another protocol.
    std::uint64_t protocol_errors = 0;
    /// Went in the middle of the handshake.
    std::uint64_t disconnected = 0;
    /// Had not proved the key at `.handshake_timeout`.
    std::uint64_t timeouts = 0;
    /// Had to make room: too many were in the middle of the handshake, or hardly any
    /// descriptor was left.
    std::uint64_t dropped = 0;
    /// Of a user who may not come over this Unix-domain socket.
    std::uint64_t refused_users = 0;
};

/// Waits for clients at an address.
class Listener {
public:
    /// Listens from now on. Throws std::system_error: the address is taken, say, or not
    /// of this machine.
    explicit Listener(ListenerOptions options = {});

    Listener(Listener&&) noexcept;
    Listener& operator=(Listener&&) noexcept;
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;
    ~Listener();

    /// Blocks for a client; with a key, for one that holds it. A client that has
    /// another key is an AuthenticationError; the next call goes on. One that speaks
    /// another protocol, goes or stays silent during the handshake, or is of another
    /// user, is counted and dropped. Handshakes go on only while a thread is in here.
    /// Throws TimeoutError.
    Connection accept(Timeout timeout = forever);

    /// How many clients came, and what became of them; any thread may ask. Stays as it
    /// is when the listener is closed.
    ListenerStatistics statistics() const;

    /// Removes the socket's file; a thread in accept() gets an error. Again does
    /// nothing.
    void close() noexcept;

    /// Where it listens, with the port that was found; also when it is closed.
    const Address& address() const;

    /// Of the client that accept() returned last; a Unix-domain client has no name.
    std::optional<Address> last_accepted() const;

    /// Readable when accept() has something to do, for connection::wait and poll loops.
    /// accept(0s) may all the same find that no client is ready yet.
    int fileno() const;

    /// Whether close() was called.
    bool closed() const noexcept;

private:
    class State;

    std::shared_ptr<State> state_;
};

struct ClientOptions {
    /// Where the Listener is.
    Address address{};
    /// Which kind of address a host's name must resolve to.
    std::optional<Family> family{};
    /// What both sides must hold, if the Listener has one.
    AuthKey authkey{};
    /// For the connection and the handshake together.
    Timeout timeout = forever;
    /// Whether the server may be CPython 3.11 or older, which knows nothing but MD5.
    bool allow_md5 = false;
    /// Which user the server at a Unix-domain socket may be: the one that the kernel
    /// names. Another one is std::system_error(EACCES), before anything is sent.
    PeerUser peer = PeerUser::own_user_or_root;
    /// The longest message that is received, in bytes; a longer one is
    /// std::system_error(EMSGSIZE) there, before memory is taken for it. None: any
    /// length.
    std::optional<std::size_t> max_message_size{};
    /// Whether the server may be CPython's; otherwise it has to be of this library.
    bool allow_cpython = true;
};

/// Calls the Listener at an address; with a key, both prove that they hold it. Blocks
/// until it has accepted. Throws TimeoutError; AuthenticationError for another key;
/// EOFError when the server closes instead.
Connection Client(  // NOLINT(readability-identifier-naming): Python's name
    const ClientOptions& options
);

}  // namespace mp::connection
