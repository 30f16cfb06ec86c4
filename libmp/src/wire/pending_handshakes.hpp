// SPDX-License-Identifier: BSL-1.0
// PendingHandshakes: the clients of a Listener that have connected and have yet to
// come through the handshake.
#pragma once

#include "mp/address.hpp"
#include "mp/fd.hpp"
#include "mp/thread_safety.hpp"
#include "mp/timeout.hpp"

#include "os/epoll.hpp"
#include "os/fork_lock.hpp"
#include "wire/admission.hpp"
#include "wire/handshake.hpp"
#include "wire/refusals.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

namespace mp::detail {

/// What a Listener's epoll descriptor reports an event as; each pending client has the
/// next number from `first_client_tag` on.
inline constexpr std::uint64_t listening_socket_tag = 0;
inline constexpr std::uint64_t bell_tag = 1;
inline constexpr std::uint64_t first_client_tag = 2;

/// Guards the tables of all listeners: it is held for moments only, so one is enough.
os::ForkLock& listeners_lock();

/// A client that the kernel has accepted, and where it called from.
struct ClientSocket {
    UniqueFd fd;
    connection::Address address;
    Source source;
};

/// A thread takes a client out of the table to go on with its handshake, so the lock is
/// never held over a system call that may block.
class PendingHandshakes {
public:
    /// All stay the caller's, which closes the descriptor only when nothing is pending.
    PendingHandshakes(
        const connection::ListenerOptions& options,
        const os::Epoll& epoll,
        Refusals& refusals
    );
    ~PendingHandshakes();
    PendingHandshakes(const PendingHandshakes&) = delete;
    PendingHandshakes& operator=(const PendingHandshakes&) = delete;

    /// Goes as far as the client allows; returns it if that was to the end. One that is
    /// gone or speaks another protocol is counted and dropped, as are others (or this
    /// one) when there are too many strangers. Requires: the options have a key. Throws
    /// AuthenticationError; with `.throw_protocol_errors` more.
    std::optional<ClientSocket> begin(ClientSocket client);

    /// The same for the pending client with this tag, which epoll has reported; does
    /// nothing if another thread was quicker.
    std::optional<ClientSocket> advance(std::uint64_t tag);

    /// Drops those that were silent for too long. Returns when to look again at the
    /// latest.
    Deadline drop_late(const Deadline& deadline);

    /// Drops a stranger; false when there is none.
    bool drop_one();

    /// Closes all of them, without a word.
    void clear() noexcept MP_REQUIRES(listeners_lock()) {
        clients_.clear();
        strangers_.clear();
    }

private:
    struct PendingClient {
        ClientSocket client;
        Handshake handshake;
        Deadline until;
    };

    enum class Watched : std::uint8_t { not_yet, before };

    std::optional<ClientSocket>
    advance(std::uint64_t tag, PendingClient pending, Watched watched);
    bool step(std::uint64_t tag, PendingClient& pending, Watched watched);
    void keep(
        std::uint64_t tag, PendingClient& pending, Watched watched, std::uint32_t events
    ) MP_REQUIRES(listeners_lock());
    void forget(std::uint64_t tag, int socket);
    void send_away(int socket) const noexcept;
    void give_up(const PendingClient& pending);
    std::optional<PendingClient> take(std::uint64_t tag) MP_REQUIRES(listeners_lock());
    bool make_room(std::size_t limit, std::uint64_t newest);
    std::optional<Admission::Tag> drop_one_too_many(std::size_t limit);

    // Set once in the constructor.
    const connection::ListenerOptions& options_;
    const os::Epoll& epoll_;
    Refusals& refusals_;
    // Guarded by listeners_lock(). The oldest has the lowest tag. Those that a thread
    // has taken out are strangers all the same.
    std::map<std::uint64_t, PendingClient> clients_ MP_GUARDED_BY(listeners_lock());
    Admission strangers_ MP_GUARDED_BY(listeners_lock());
    std::uint64_t next_tag_ MP_GUARDED_BY(listeners_lock()) = first_client_tag;
};

}  // namespace mp::detail
