// SPDX-License-Identifier: BSL-1.0
// How far each pending client has come: it begins, goes on, ends, or is dropped.
#include "wire/pending_handshakes.hpp"

#include "mp/errors.hpp"
#include "mp/listener.hpp"

#include "os/random.hpp"
#include "wire/challenge.hpp"

#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace mp::detail {

namespace {

// They share the descriptors that there are for strangers.
std::atomic<std::size_t> listeners_with_keys{0};

std::string not_accepted(const connection::Address& from, const std::string& why) {
    return "a client" + (from.empty() ? std::string() : " at " + to_string(from)) +
           " was not accepted: " + why;
}

std::uint64_t random_number() {
    std::array<std::byte, sizeof(std::uint64_t)> bytes{};
    os::random_bytes(bytes);
    std::uint64_t number = 0;
    std::memcpy(&number, bytes.data(), sizeof number);
    return number;
}

}  // namespace

// Never destroyed, as ForkLock demands.
os::ForkLock& listeners_lock() {
    static auto* const lock = new os::ForkLock;
    return *lock;
}

PendingHandshakes::PendingHandshakes(
    const connection::ListenerOptions& options,
    const os::Epoll& epoll,
    Refusals& refusals
)
    : options_(options), epoll_(epoll), refusals_(refusals) {
    // There before the first fork that could come in the midst of making it.
    static_cast<void>(listeners_lock());
    if (options_.authkey) {
        ++listeners_with_keys;
    }
}

PendingHandshakes::~PendingHandshakes() {
    if (options_.authkey) {
        --listeners_with_keys;
    }
}

std::optional<ClientSocket> PendingHandshakes::begin(ClientSocket client) {
    PendingClient pending{
        std::move(client),
        Handshake(
            HandshakeSide::server,
            *options_.authkey,
            {.allow_cpython = options_.allow_cpython, .allow_md5 = options_.allow_md5}
        ),
        Deadline(options_.handshake_timeout)};
    std::uint64_t tag = 0;
    bool alone = false;  // then it has room, whatever the limits
    {
        const os::ForkLockHeld held(listeners_lock());
        tag = next_tag_++;
        strangers_.enter(tag, pending.client.source);
        alone = strangers_.size() == 1;
    }
    try {
        const int newest = pending.client.fd.get();
        if (!alone && !make_room(stranger_limit(listeners_with_keys, newest), tag)) {
            send_away(newest);
            return std::nullopt;
        }
    } catch (...) {
        forget(tag, pending.client.fd.get());
        throw;
    }
    return advance(tag, std::move(pending), Watched::not_yet);
}

std::optional<ClientSocket> PendingHandshakes::advance(std::uint64_t tag) {
    std::optional<PendingClient> pending;
    {
        const os::ForkLockHeld held(listeners_lock());
        pending = take(tag);
    }
    if (!pending) {
        return std::nullopt;  // another thread was quicker
    }
    return advance(tag, *std::move(pending), Watched::before);
}

// Whatever happens, it is no stranger any more when it is not in the table.
std::optional<ClientSocket>
PendingHandshakes::advance(std::uint64_t tag, PendingClient pending, Watched watched) {
    try {
        if (!step(tag, pending, watched)) {
            return std::nullopt;
        }
        forget(tag, pending.client.fd.get());
        return std::move(pending.client);
    } catch (...) {
        forget(tag, pending.client.fd.get());
        send_away(pending.client.fd.get());
        give_up(pending);
    }
    return std::nullopt;
}

// False: its handshake goes on, or it had to go.
bool PendingHandshakes::step(
    std::uint64_t tag, PendingClient& pending, Watched watched
) {
    using Wants = Handshake::Wants;
    const Wants wants = pending.handshake.advance(pending.client.fd.get());
    if (wants == Wants::nothing) {
        return true;
    }
    {
        const os::ForkLockHeld held(listeners_lock());
        if (pending.handshake.has_proof()) {
            strangers_.leave(tag);
        }
        if (pending.handshake.has_proof() || strangers_.contains(tag)) {
            keep(tag, pending, watched, wants == Wants::reading ? EPOLLIN : EPOLLOUT);
            return false;
        }
    }
    // It has made room for another one meanwhile, and was counted.
    send_away(pending.client.fd.get());
    return false;
}

void PendingHandshakes::keep(
    std::uint64_t tag, PendingClient& pending, Watched watched, std::uint32_t events
) {
    const int socket = pending.client.fd.get();
    // One event, then silence until a thread has dealt with it. In the table first: the
    // event may come at once, in another thread.
    const auto at = clients_.emplace(tag, std::move(pending)).first;
    try {
        if (watched == Watched::before) {
            epoll_.modify(socket, tag, events | EPOLLONESHOT);
        } else {
            epoll_.add(socket, tag, events | EPOLLONESHOT);
        }
    } catch (...) {
        pending = std::move(at->second);
        clients_.erase(at);
        throw;
    }
}

void PendingHandshakes::forget(std::uint64_t tag, int socket) {
    epoll_.remove(socket);
    const os::ForkLockHeld held(listeners_lock());
    strangers_.leave(tag);
}

// Requires: in a catch block. Throws on what the caller of accept() is to get.
void PendingHandshakes::give_up(const PendingClient& pending) {
    const auto count = [&](Outcome outcome, const std::exception& e) {
        refusals_.count(outcome, [&] {
            return not_accepted(pending.client.address, e.what());
        });
        if (options_.throw_protocol_errors) {
            throw;
        }
    };
    try {
        throw;
    } catch (const HandshakeBreach& e) {
        count(Outcome::protocol_error, e);
    } catch (const AuthenticationError&) {
        refusals_.count(Outcome::authentication_failure);
        throw;
    } catch (const EOFError& e) {
        count(Outcome::disconnected, e);
    } catch (const std::system_error& e) {
        count(Outcome::disconnected, e);
    }
}

// A child that was forked meanwhile has a copy of the socket. The client is to read the
// end of the stream all the same, now.
void PendingHandshakes::send_away(int socket) const noexcept {
    epoll_.remove(socket);
    ::shutdown(socket, SHUT_RDWR);
}

Deadline PendingHandshakes::drop_late(const Deadline& deadline) {
    Deadline next = deadline;
    std::vector<PendingClient> late;
    {
        const os::ForkLockHeld held(listeners_lock());
        // All have the same time, so the oldest is the first that is late.
        for (auto i = clients_.begin(); i != clients_.end();) {
            if (!i->second.until.expired()) {
                if (i->second.until.time_point() < next.time_point()) {
                    next = i->second.until;
                }
                break;
            }
            late.push_back(std::move(i->second));
            send_away(late.back().client.fd.get());
            strangers_.leave(i->first);
            i = clients_.erase(i);
        }
    }
    for (const PendingClient& pending : late) {
        refusals_.count(Outcome::timeout, [&] {
            return not_accepted(pending.client.address, "it was silent for too long");
        });
    }
    return next;
}

bool PendingHandshakes::drop_one() {
    std::size_t now = 0;
    {
        const os::ForkLockHeld held(listeners_lock());
        now = strangers_.size();
    }
    if (now == 0) {
        return false;
    }
    drop_one_too_many(now - 1);
    return true;
}

// False when the newest had to go itself.
bool PendingHandshakes::make_room(std::size_t limit, std::uint64_t newest) {
    bool stays = true;
    while (const auto tag = drop_one_too_many(limit)) {
        stays = stays && *tag != newest;
    }
    return stays;
}

std::optional<Admission::Tag> PendingHandshakes::drop_one_too_many(std::size_t limit) {
    const std::uint64_t random = random_number();
    std::optional<PendingClient> dropped;
    std::optional<Admission::Tag> tag;
    {
        const os::ForkLockHeld held(listeners_lock());
        tag = strangers_.one_too_many(limit, random);
        if (!tag) {
            return std::nullopt;
        }
        strangers_.leave(*tag);
        // Not there when it is the newest, or when a thread goes on with it just now:
        // that one will see it.
        dropped = take(*tag);
        if (dropped) {
            send_away(dropped->client.fd.get());
        }
    }
    refusals_.count(Outcome::dropped, [&] {
        return not_accepted(
            dropped ? dropped->client.address : connection::Address(),
            "too many are under way"
        );
    });
    return tag;
}

std::optional<PendingHandshakes::PendingClient>
PendingHandshakes::take(std::uint64_t tag) {
    const auto found = clients_.find(tag);
    if (found == clients_.end()) {
        return std::nullopt;
    }
    std::optional<PendingClient> pending(std::move(found->second));
    clients_.erase(found);
    return pending;
}

}  // namespace mp::detail
