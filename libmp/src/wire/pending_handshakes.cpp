// SPDX-License-Identifier: BSL-1.0
// How far each pending client has come: it begins, goes on, ends, or is dropped.
#include "wire/pending_handshakes.hpp"

#include "mp/errors.hpp"
#include "mp/listener.hpp"

#include "util/diagnostics.hpp"

#include <cstddef>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace mp::detail {

namespace {

// More are not pending at once: the oldest has to go for a newer one.
constexpr std::size_t max_pending_clients = 256;

void log_dropped(const connection::Address& from, const char* why) {
    log_info(
        "a client" + (from.empty() ? std::string() : " at " + to_string(from)) +
        " was dropped before it was accepted: " + why
    );
}

}  // namespace

// Never destroyed, as ForkLock demands.
os::ForkLock& listeners_lock() {
    static auto* const lock = new os::ForkLock;
    return *lock;
}

PendingHandshakes::PendingHandshakes(
    const connection::ListenerOptions& options, const os::Epoll& epoll
)
    : options_(options), epoll_(epoll) {
    // There before the first fork that could come in the midst of making it.
    static_cast<void>(listeners_lock());
}

std::optional<ClientSocket> PendingHandshakes::begin(ClientSocket client) {
    std::uint64_t tag = 0;
    bool full = false;
    {
        const os::ForkLockHeld held(listeners_lock());
        tag = next_tag_++;
        full = clients_.size() >= max_pending_clients;
    }
    if (full) {
        drop_oldest();
    }
    return advance(
        tag,
        {std::move(client),
         Handshake(
             HandshakeSide::server,
             *options_.authkey,
             {.allow_cpython = options_.allow_cpython, .allow_md5 = options_.allow_md5}
         ),
         Deadline(options_.handshake_timeout)},
        Watched::not_yet
    );
}

std::optional<ClientSocket> PendingHandshakes::advance(std::uint64_t tag) {
    if (auto pending = take(tag)) {
        return advance(tag, *std::move(pending), Watched::before);
    }
    return std::nullopt;
}

std::optional<ClientSocket>
PendingHandshakes::advance(std::uint64_t tag, PendingClient pending, Watched watched) {
    using Wants = Handshake::Wants;
    const int socket = pending.client.fd.get();
    try {
        const Wants wants = pending.handshake.advance(socket);
        if (wants == Wants::nothing) {
            epoll_.remove(socket);
            return std::move(pending.client);
        }
        // One event, then silence until a thread has dealt with it. In the table first:
        // the event may come at once, in another thread.
        const std::uint32_t events = wants == Wants::reading ? EPOLLIN : EPOLLOUT;
        const os::ForkLockHeld held(listeners_lock());
        clients_.emplace(tag, std::move(pending));
        if (watched == Watched::before) {
            epoll_.modify(socket, tag, events | EPOLLONESHOT);
        } else {
            epoll_.add(socket, tag, events | EPOLLONESHOT);
        }
    } catch (const AuthenticationError&) {
        epoll_.remove(socket);
        throw;
    } catch (const EOFError& e) {
        epoll_.remove(socket);
        log_dropped(pending.client.address, e.what());
    } catch (const std::system_error& e) {
        epoll_.remove(socket);
        log_dropped(pending.client.address, e.what());
    }
    return std::nullopt;
}

Deadline PendingHandshakes::drop_late(const Deadline& deadline) {
    Deadline next = deadline;
    std::vector<PendingClient> late;
    {
        const os::ForkLockHeld held(listeners_lock());
        for (auto i = clients_.begin(); i != clients_.end();) {
            if (i->second.until.expired()) {
                epoll_.remove(i->second.client.fd.get());
                late.push_back(std::move(i->second));
                i = clients_.erase(i);
            } else {
                if (i->second.until.time_point() < next.time_point()) {
                    next = i->second.until;
                }
                ++i;
            }
        }
    }
    for (const PendingClient& pending : late) {
        log_dropped(pending.client.address, "it was silent for too long");
    }
    return next;
}

bool PendingHandshakes::drop_oldest() {
    std::optional<PendingClient> oldest;
    {
        const os::ForkLockHeld held(listeners_lock());
        if (clients_.empty()) {
            return false;
        }
        const auto first = clients_.begin();
        epoll_.remove(first->second.client.fd.get());
        oldest.emplace(std::move(first->second));
        clients_.erase(first);
    }
    log_dropped(oldest->client.address, "too many are under way");
    return true;
}

std::optional<PendingHandshakes::PendingClient>
PendingHandshakes::take(std::uint64_t tag) {
    const os::ForkLockHeld held(listeners_lock());
    const auto found = clients_.find(tag);
    if (found == clients_.end()) {
        return std::nullopt;  // another thread was quicker
    }
    std::optional<PendingClient> pending(std::move(found->second));
    clients_.erase(found);
    return pending;
}

}  // namespace mp::detail
