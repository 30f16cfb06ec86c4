// SPDX-License-Identifier: BSL-1.0
// listener_state: a Listener's socket and the clients that are ready to be accepted.
// Those that have to prove something first are in PendingHandshakes.
#pragma once

#include "mp/detail/creator.hpp"
#include "mp/detail/event_fd.hpp"
#include "mp/fd.hpp"
#include "mp/finalize.hpp"
#include "mp/listener.hpp"
#include "mp/thread_safety.hpp"

#include "os/credentials.hpp"
#include "os/epoll.hpp"
#include "wire/endpoint.hpp"
#include "wire/pending_handshakes.hpp"
#include "wire/refusals.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>

namespace mp::connection {

// One epoll descriptor watches the listening socket, every client whose handshake is
// under way, and a bell (an eventfd) that tells of clients which are through and of the
// end. The lock is never held over a system call that may block, and a forked child
// finds the tables whole.
class Listener::State {
public:
    explicit State(ListenerOptions options);
    ~State() = default;
    State(const State&) = delete;
    State& operator=(const State&) = delete;

    Connection accept(const Deadline& deadline);
    void close() noexcept;

    const Address& address() const noexcept { return address_; }

    std::optional<Address> last_accepted() const;
    int fileno();
    bool closed() const noexcept;

    ListenerStatistics statistics() const noexcept;

private:
    class Inside;

    void renew_after_fork() MP_REQUIRES(detail::listeners_lock());
    void watch_own_fds();
    void ring_if_needed() MP_REQUIRES(detail::listeners_lock());
    void release() noexcept MP_REQUIRES(detail::listeners_lock());

    std::optional<Connection> take_ready();
    void serve(std::span<const std::uint64_t> tags);
    void accept_client();
    UniqueFd accept_socket(detail::Endpoint& from) const;
    void renew_spare();
    bool turn_away();
    void begin_handshake(UniqueFd socket, const detail::Endpoint& from);
    bool is_allowed(const os::Peer& peer);
    void add_ready(std::optional<detail::ClientSocket> client);

    // Set once in the constructor.
    const ListenerOptions options_;
    Address address_;
    std::optional<Finalize> remove_file_;
    // Set once in the constructor; closed when no thread is inside.
    os::Epoll epoll_;
    detail::EventFd bell_;
    UniqueFd socket_;
    // Own synchronisation.
    detail::Refusals refusals_;
    std::atomic<bool> lacks_spare_ = false;
    detail::PendingHandshakes pending_;
    // Guarded by listeners_lock().
    detail::Creator here_ MP_GUARDED_BY(detail::listeners_lock());
    std::deque<detail::ClientSocket> ready_ MP_GUARDED_BY(detail::listeners_lock());
    std::optional<Address> last_accepted_ MP_GUARDED_BY(detail::listeners_lock());
    // A descriptor in reserve, to turn a stranger away with when there is no other.
    UniqueFd spare_ MP_GUARDED_BY(detail::listeners_lock());
    std::size_t inside_ MP_GUARDED_BY(detail::listeners_lock()) = 0;
    bool rung_ MP_GUARDED_BY(detail::listeners_lock()) = false;
    bool closed_ MP_GUARDED_BY(detail::listeners_lock()) = false;
};

}  // namespace mp::connection
