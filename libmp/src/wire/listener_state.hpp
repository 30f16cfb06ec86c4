// SPDX-License-Identifier: BSL-1.0
// listener_state: the clients of a Listener between connect and accept().
#pragma once

#include "mp/detail/creator.hpp"
#include "mp/finalize.hpp"
#include "mp/listener.hpp"
#include "mp/thread_safety.hpp"

#include "os/fork_lock.hpp"
#include "wire/endpoint.hpp"
#include "wire/handshake.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>

namespace mp::connection {

// One epoll descriptor watches the listening socket, every client whose handshake is
// under way, and a bell (an eventfd) that tells of clients which are through and of the
// end. Threads take a client out of the table to go on with it, so the lock is never
// held over a system call that may block, and a forked child finds the table whole.
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

private:
    struct Client {
        UniqueFd socket;
        Address address;
    };

    // A guest that has to prove something first.
    struct PendingClient {
        Client client;
        detail::Handshake handshake;
        Deadline until;
    };

    class Inside;

    void settle_here() MP_REQUIRES(lock_);
    void watch(int fd, std::uint64_t id, std::uint32_t events, int operation);
    void unwatch(int fd) noexcept;
    void ring_if_needed() MP_REQUIRES(lock_);
    void release() noexcept MP_REQUIRES(lock_);

    std::optional<Connection> take_ready();
    Deadline drop_late_clients(const Deadline& deadline);
    void serve(std::span<const std::uint64_t> ids);
    void admit();
    void admit(Client client);
    bool may_come(int socket) const;
    void go_on(std::uint64_t id);
    void go_on(std::uint64_t id, PendingClient pending, int operation);
    bool drop_oldest_pending();
    std::optional<PendingClient> take_pending(std::uint64_t id);
    void add_ready(Client client);

    // Set once in the constructor.
    const ListenerOptions options_;
    os::ForkLock& lock_;
    Address address_;
    std::optional<Finalize> remove_file_;
    // Set once in the constructor; closed when nobody is inside.
    UniqueFd epoll_;
    UniqueFd bell_;
    UniqueFd socket_;
    // Guarded by lock_.
    detail::Creator here_ MP_GUARDED_BY(lock_);
    std::map<std::uint64_t, PendingClient> pending_clients_ MP_GUARDED_BY(lock_);
    std::deque<Client> ready_ MP_GUARDED_BY(lock_);
    std::optional<Address> last_accepted_ MP_GUARDED_BY(lock_);
    std::uint64_t next_id_ MP_GUARDED_BY(lock_);
    std::size_t inside_ MP_GUARDED_BY(lock_) = 0;
    bool rung_ MP_GUARDED_BY(lock_) = false;
    bool closed_ MP_GUARDED_BY(lock_) = false;
};

}  // namespace mp::connection
