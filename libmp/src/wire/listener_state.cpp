// SPDX-License-Identifier: BSL-1.0
#include "wire/listener_state.hpp"

#include "mp/errors.hpp"

#include "os/check.hpp"
#include "os/failpoint.hpp"
#include "os/random.hpp"
#include "os/spin.hpp"
#include "util/diagnostics.hpp"
#include "wire/socket_file.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace mp::connection {

namespace {

// What epoll reports a descriptor as; clients are numbered from `first_stranger` on.
constexpr std::uint64_t listening_socket = 0;
constexpr std::uint64_t bell = 1;
constexpr std::uint64_t first_client = 2;

// More do not get in at once: the oldest has to go for a newer one.
constexpr std::size_t max_pending_clients = 256;

// Never destroyed, as ForkLock demands. Held for moments only, so one is enough for all
// listeners.
os::ForkLock& listeners_lock() {
    static auto* const lock = new os::ForkLock;
    return *lock;
}

UniqueFd new_epoll() {
    return UniqueFd(os::check(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1"));
}

UniqueFd new_bell() {
    return UniqueFd(os::check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"));
}

// 80 bits that nobody can guess, as a name in the abstract namespace.
Address unused_name() {
    std::array<std::byte, 10> random{};
    os::random_bytes(random);
    std::string name = "libmp-";
    for (const std::byte b : random) {
        constexpr std::string_view digits = "0123456789abcdef";
        name += digits[std::to_integer<std::size_t>(b) >> 4U];
        name += digits[std::to_integer<std::size_t>(b) & 15U];
    }
    return abstract(name);
}

Address address_for(const ListenerOptions& options) {
    if (!options.address.empty()) {
        return options.address;
    }
    switch (options.family.value_or(Family::inet)) {
    case Family::unix_socket:
        return unused_name();
    case Family::inet6:
        return inet("::1", 0);
    default:
        return inet("127.0.0.1", 0);
    }
}

UniqueFd open_door(const ListenerOptions& options) {
    std::exception_ptr failure;
    for (const detail::Endpoint& endpoint :
         detail::endpoints_of(address_for(options), options.family, true)) {
        try {
            return detail::listen_at(endpoint, options.backlog);
        } catch (const std::system_error&) {
            if (!failure) {
                failure = std::current_exception();
            }
        }
    }
    std::rethrow_exception(failure);
}

void log_lost(const Address& from, const char* why) {
    detail::log_info(
        "a client" + (from.empty() ? std::string() : " at " + to_string(from)) +
        " was dropped before it was accepted: " + why
    );
}

}  // namespace

// Being in accept(): the descriptors stay open until the last one has left.
class Listener::State::Inside {
public:
    explicit Inside(State& state) : state_(state) {
        const os::ForkLockHeld held(state_.lock_);
        state_.settle_here();
        if (state_.closed_) {
            os::throw_error(EBADF, "the listener is closed");
        }
        ++state_.inside_;
    }

    ~Inside() {
        const os::ForkLockHeld held(state_.lock_);
        --state_.inside_;
        if (state_.closed_) {
            state_.release();
        } else {
            state_.ring_if_needed();
        }
    }

    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

private:
    State& state_;
};

Listener::State::State(ListenerOptions options)
    : options_(std::move(options)),
      lock_(listeners_lock()),
      epoll_(new_epoll()),
      bell_(new_bell()),
      socket_(open_door(options_)),
      next_id_(first_client) {
    const bool is_found = options_.address.path().empty();
    address_ = is_found ? detail::bound_address(socket_.get()) : options_.address;
    if (address_.family() == Family::unix_socket && !address_.is_abstract()) {
        const detail::SocketFile file(address_.path());
        remove_file_.emplace([file] { file.remove(); }, 0);
    }
    watch(socket_.get(), listening_socket, EPOLLIN, EPOLL_CTL_ADD);
    watch(bell_.get(), bell, EPOLLIN, EPOLL_CTL_ADD);
}

// In a forked child the epoll set is the parent's, and so are the handshakes. The
// descriptor that fileno() gave away stays the one to watch.
void Listener::State::settle_here() {
    if (here_.is_here() || closed_) {
        return;
    }
    const UniqueFd own_epoll = new_epoll();
    const UniqueFd own_bell = new_bell();
    os::check(::dup3(own_epoll.get(), epoll_.get(), O_CLOEXEC), "dup3");
    os::check(::dup3(own_bell.get(), bell_.get(), O_CLOEXEC), "dup3");
    pending_clients_.clear();
    ready_.clear();
    inside_ = 0;
    rung_ = false;
    here_ = detail::Creator();
    watch(socket_.get(), listening_socket, EPOLLIN, EPOLL_CTL_ADD);
    watch(bell_.get(), bell, EPOLLIN, EPOLL_CTL_ADD);
}

void Listener::State::watch(
    int fd, std::uint64_t id, std::uint32_t events, int operation
) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = id;
    os::check(::epoll_ctl(epoll_.get(), operation, fd, &event), "epoll_ctl");
}

// Fails when it was not watched, which is as well.
void Listener::State::unwatch(int fd) noexcept {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

// The bell is readable while somebody is ready to be accepted, and for good once the
// listener is closed.
void Listener::State::ring_if_needed() {
    const bool ring = closed_ || !ready_.empty();
    if (ring == rung_) {
        return;
    }
    rung_ = ring;
    std::uint64_t count = 1;
    if (ring) {
        static_cast<void>(::write(bell_.get(), &count, sizeof count));
    } else {
        static_cast<void>(::read(bell_.get(), &count, sizeof count));
    }
}

void Listener::State::release() noexcept {
    if (inside_ == 0) {
        pending_clients_.clear();
        ready_.clear();
        socket_.reset();
        epoll_.reset();
        bell_.reset();
    }
}

Connection Listener::State::accept(const Deadline& deadline) {
    const Inside inside(*this);
    for (bool looked = false;; looked = true) {
        if (auto ready = take_ready()) {
            return *std::move(ready);
        }
        if (looked && deadline.expired()) {
            throw TimeoutError("nobody came to " + to_string(address_));
        }
        std::array<epoll_event, 16> events{};
        const Deadline next = drop_late_clients(deadline);
        const auto look = [&](int milliseconds) {
            return ::epoll_wait(
                epoll_.get(), events.data(), events.size(), milliseconds
            );
        };
        int count = 0;
        // In the middle of a handshake the answer is likely to come at once.
        if (next.expired() || !detail::spin_with_calls(next, [&] {
                count = look(0);
                return count > 0;
            })) {
            count = os::check_restarting("epoll_wait", [&] {
                return look(next.poll_milliseconds());
            });
        }
        std::array<std::uint64_t, events.size()> ids{};
        const auto came = std::span(events).first(static_cast<std::size_t>(count));
        std::transform(
            came.begin(),
            came.end(),
            ids.begin(),
            [](const epoll_event& event) { return event.data.u64; }
        );
        serve(std::span(ids).first(came.size()));
    }
}

std::optional<Connection> Listener::State::take_ready() {
    std::optional<Client> client;
    {
        const os::ForkLockHeld held(lock_);
        if (closed_) {
            os::throw_error(EBADF, "the listener is closed");
        }
        if (ready_.empty()) {
            ring_if_needed();
            return std::nullopt;
        }
        client = std::move(ready_.front());
        ready_.pop_front();
        last_accepted_ = client->address;
    }
    return Connection(std::move(client->socket));
}

// Returns when to look again at the latest.
Deadline Listener::State::drop_late_clients(const Deadline& deadline) {
    Deadline next = deadline;
    std::vector<PendingClient> late;
    {
        const os::ForkLockHeld held(lock_);
        for (auto i = pending_clients_.begin(); i != pending_clients_.end();) {
            if (i->second.until.expired()) {
                unwatch(i->second.client.socket.get());
                late.push_back(std::move(i->second));
                i = pending_clients_.erase(i);
            } else {
                if (i->second.until.time_point() < next.time_point()) {
                    next = i->second.until;
                }
                ++i;
            }
        }
    }
    for (const PendingClient& pending : late) {
        log_lost(pending.client.address, "it was silent for too long");
    }
    return next;
}

// All of them, whatever happens to one: epoll reports a stranger only once.
void Listener::State::serve(std::span<const std::uint64_t> ids) {
    std::exception_ptr failure;
    for (const std::uint64_t id : ids) {
        try {
            if (id == listening_socket) {
                admit();
            } else if (id != bell) {
                go_on(id);
            }
        } catch (const std::exception& e) {
            if (failure) {
                detail::log_warning(std::string("a second client failed: ") + e.what());
            } else {
                failure = std::current_exception();
            }
        }
    }
    if (failure) {
        std::rethrow_exception(failure);
    }
}

// One client at a time: more may be for another process that listens here, too.
void Listener::State::admit() {
    detail::Endpoint from;
    for (;;) {
        from.size = sizeof from.storage;
        UniqueFd socket(
            ::accept4(socket_.get(), from.address(), &from.size, SOCK_CLOEXEC)
        );
        if (socket) {
            MP_FAILPOINT("listener: somebody came");
            admit({std::move(socket), detail::address_of(from)});
            return;
        }
        const std::error_code error = os::last_error();
        if (os::would_block() || error.value() == ECONNABORTED) {
            return;
        }
        const bool no_room = error.value() == EMFILE || error.value() == ENFILE;
        if (!os::interrupted() && !(no_room && drop_oldest_pending())) {
            os::throw_error(error.value(), "accept");
        }
    }
}

void Listener::State::admit(Client client) {
    if (address_.family() != Family::unix_socket) {
        detail::send_without_delay(client.socket.get());
    } else if (!may_come(client.socket.get())) {
        return;
    }
    if (!options_.authkey) {
        add_ready(std::move(client));
        return;
    }
    std::uint64_t id = 0;
    bool full = false;
    {
        const os::ForkLockHeld held(lock_);
        id = next_id_++;
        full = pending_clients_.size() >= max_pending_clients;
    }
    if (full) {
        drop_oldest_pending();
    }
    go_on(
        id,
        {std::move(client),
         detail::Handshake(
             detail::HandshakeRole::server,
             *options_.authkey,
             options_.allow_md5 ? detail::Md5::allowed : detail::Md5::refused
         ),
         Deadline(options_.handshake_timeout)},
        EPOLL_CTL_ADD
    );
}

bool Listener::State::may_come(int socket) const {
    ucred peer{};
    socklen_t size = sizeof peer;
    os::check(
        ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size),
        "getsockopt(SO_PEERCRED)"
    );
    if (options_.any_user || peer.uid == ::geteuid() || peer.uid == 0) {
        return true;
    }
    detail::log_warning(
        "process " + std::to_string(peer.pid) + " of user " + std::to_string(peer.uid) +
        " was refused at " + to_string(address_)
    );
    return false;
}

void Listener::State::go_on(std::uint64_t id) {
    if (auto pending = take_pending(id)) {
        go_on(id, *std::move(pending), EPOLL_CTL_MOD);
    }
}

void Listener::State::go_on(std::uint64_t id, PendingClient pending, int operation) {
    using Wants = detail::Handshake::Wants;
    const int socket = pending.client.socket.get();
    try {
        const Wants wants = pending.handshake.advance(socket);
        if (wants == Wants::nothing) {
            unwatch(socket);
            add_ready(std::move(pending.client));
            return;
        }
        // One event, then silence until somebody has dealt with it. In the table first:
        // the event may come at once, in another thread.
        const std::uint32_t events = wants == Wants::reading ? EPOLLIN : EPOLLOUT;
        const os::ForkLockHeld held(lock_);
        pending_clients_.emplace(id, std::move(pending));
        watch(socket, id, events | EPOLLONESHOT, operation);
    } catch (const AuthenticationError&) {
        unwatch(socket);
        throw;
    } catch (const EOFError& e) {
        unwatch(socket);
        log_lost(pending.client.address, e.what());
    } catch (const std::system_error& e) {
        unwatch(socket);
        log_lost(pending.client.address, e.what());
    }
}

bool Listener::State::drop_oldest_pending() {
    std::optional<PendingClient> oldest;
    {
        const os::ForkLockHeld held(lock_);
        if (pending_clients_.empty()) {
            return false;
        }
        const auto first = pending_clients_.begin();
        unwatch(first->second.client.socket.get());
        oldest.emplace(std::move(first->second));
        pending_clients_.erase(first);
    }
    log_lost(oldest->client.address, "too many are under way");
    return true;
}

std::optional<Listener::State::PendingClient>
Listener::State::take_pending(std::uint64_t id) {
    const os::ForkLockHeld held(lock_);
    const auto found = pending_clients_.find(id);
    if (found == pending_clients_.end()) {
        return std::nullopt;  // another thread was quicker
    }
    std::optional<PendingClient> pending(std::move(found->second));
    pending_clients_.erase(found);
    return pending;
}

void Listener::State::add_ready(Client client) {
    MP_FAILPOINT("listener: handshake over");
    const os::ForkLockHeld held(lock_);
    ready_.push_back(std::move(client));
}

void Listener::State::close() noexcept {
    // First the file: while the socket listens, no other server has taken its place.
    if (remove_file_) {
        try {
            (*remove_file_)();
        } catch (const std::exception& e) {
            detail::log_error(e.what());
        }
    }
    const os::ForkLockHeld held(lock_);
    if (closed_) {
        return;
    }
    if (!here_.is_here()) {
        inside_ = 0;  // those are the parent's threads
    }
    closed_ = true;
    if (inside_ != 0) {
        ring_if_needed();
    }
    release();
}

std::optional<Address> Listener::State::last_accepted() const {
    const os::ForkLockHeld held(lock_);
    return last_accepted_;
}

int Listener::State::fileno() {
    const os::ForkLockHeld held(lock_);
    settle_here();
    if (closed_) {
        os::throw_error(EBADF, "the listener is closed");
    }
    return epoll_.get();
}

bool Listener::State::closed() const noexcept {
    const os::ForkLockHeld held(lock_);
    return closed_;
}

}  // namespace mp::connection
