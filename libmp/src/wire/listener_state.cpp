// SPDX-License-Identifier: BSL-1.0
// Accepting: from the listening socket through the handshake to the clients that are
// ready; and closing, while other threads are inside.
#include "wire/listener_state.hpp"

#include "mp/errors.hpp"

#include "os/check.hpp"
#include "os/credentials.hpp"
#include "os/failpoint.hpp"
#include "os/hmac.hpp"
#include "os/new_fd.hpp"
#include "os/random.hpp"
#include "os/spin.hpp"
#include "util/diagnostics.hpp"
#include "util/hex.hpp"
#include "wire/socket_file.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <exception>
#include <string>
#include <system_error>
#include <utility>

namespace mp::connection {

namespace {

// 80 bits that nobody can guess, as a name in the abstract namespace.
Address unused_name() {
    std::array<std::byte, 10> random{};
    os::random_bytes(random);
    return abstract("libmp-" + detail::to_hex(random));
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

UniqueFd open_listening_socket(const ListenerOptions& options) {
    if (options.authkey) {
        os::load_crypto();  // before anybody calls
    }
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

bool is_no_room(const std::error_code& error) noexcept {
    return error.value() == EMFILE || error.value() == ENFILE;
}

}  // namespace

// Being in accept(): the descriptors stay open until the last one has left.
class Listener::State::Inside {
public:
    explicit Inside(State& state) : state_(state) {
        const os::ForkLockHeld held(detail::listeners_lock());
        state_.renew_after_fork();
        if (state_.closed_) {
            os::throw_error(EBADF, "the listener is closed");
        }
        ++state_.inside_;
    }

    ~Inside() {
        const os::ForkLockHeld held(detail::listeners_lock());
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
      socket_(open_listening_socket(options_)),
      pending_(options_, epoll_, refusals_) {
    const bool is_found = options_.address.path().empty();
    address_ = is_found ? detail::bound_address(socket_.get()) : options_.address;
    if (address_.family() == Family::unix_socket && !address_.is_abstract()) {
        const detail::SocketFile file(address_.path());
        remove_file_.emplace([file] { file.remove(); }, 0);
    }
    watch_own_fds();
    renew_spare();
}

// In a forked child the epoll set is the parent's, and so are the handshakes. The
// descriptor that fileno() gave away stays the one to watch.
void Listener::State::renew_after_fork() {
    if (here_.is_here() || closed_) {
        return;
    }
    const os::Epoll own_epoll;
    const detail::EventFd own_bell;
    os::check(::dup3(own_epoll.fileno(), epoll_.fileno(), O_CLOEXEC), "dup3");
    os::check(::dup3(own_bell.fileno(), bell_.fileno(), O_CLOEXEC), "dup3");
    pending_.clear();
    ready_.clear();
    refusals_.reset();
    inside_ = 0;
    rung_ = false;
    watch_own_fds();
    here_ = detail::Creator();
}

void Listener::State::watch_own_fds() {
    epoll_.add(socket_.get(), detail::listening_socket_tag);
    epoll_.add(bell_.fileno(), detail::bell_tag);
}

// The bell is readable while a client is ready to be accepted, and for good once the
// listener is closed.
void Listener::State::ring_if_needed() {
    const bool ring = closed_ || !ready_.empty();
    if (ring == rung_) {
        return;
    }
    rung_ = ring;
    if (ring) {
        bell_.ring();
    } else {
        bell_.take();
    }
}

void Listener::State::release() noexcept {
    if (inside_ == 0) {
        pending_.clear();
        ready_.clear();
        socket_.reset();
        spare_.reset();
        epoll_.close();
        bell_.close();
    }
}

Connection Listener::State::accept(const Deadline& deadline) {
    const Inside inside(*this);
    if (lacks_spare_) {
        renew_spare();
    }
    for (bool looked = false;; looked = true) {
        if (auto client = take_ready()) {
            return *std::move(client);
        }
        if (looked && deadline.expired()) {
            throw TimeoutError("nobody came to " + to_string(address_));
        }
        const Deadline next = pending_.drop_late(deadline);
        os::Epoll::Ready ready;
        // In the middle of a handshake the answer is likely to come at once.
        if (next.expired() || !detail::spin_with_calls(next, [&] {
                ready = epoll_.poll();
                return !ready.empty();
            })) {
            ready = epoll_.wait(next);
        }
        serve(ready.tags());
    }
}

std::optional<Connection> Listener::State::take_ready() {
    std::optional<detail::ClientSocket> client;
    {
        const os::ForkLockHeld held(detail::listeners_lock());
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
    refusals_.count(detail::Outcome::accepted);
    return Connection(
        std::move(client->fd),
        ConnectionOptions{
            .direction = Direction::both, .max_message_size = options_.max_message_size}
    );
}

// All of them, whatever happens to one: epoll reports a pending client only once.
void Listener::State::serve(std::span<const std::uint64_t> tags) {
    std::exception_ptr failure;
    for (const std::uint64_t tag : tags) {
        try {
            if (tag == detail::listening_socket_tag) {
                accept_client();
            } else if (tag != detail::bell_tag) {
                add_ready(pending_.advance(tag));
            }
        } catch (const std::exception& e) {
            if (failure) {
                refusals_.log([&] {
                    return std::string("a second client failed: ") + e.what();
                });
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
void Listener::State::accept_client() {
    detail::Endpoint from;
    for (;;) {
        UniqueFd socket = accept_socket(from);
        if (socket) {
            MP_FAILPOINT("listener: somebody came");
            begin_handshake(std::move(socket), from);
            return;
        }
        const std::error_code error = os::last_error();
        if (os::would_block() || error.value() == ECONNABORTED) {
            return;
        }
        if (os::interrupted()) {
            continue;
        }
        if (!options_.authkey || !is_no_room(error)) {
            os::throw_error(error.value(), "accept");
        }
        if (pending_.drop_one()) {
            continue;
        }
        if (!turn_away()) {
            os::throw_error(error.value(), "accept");
        }
        return;
    }
}

UniqueFd Listener::State::accept_socket(detail::Endpoint& from) const {
    const os::ClosedStreamsHeld held;
    from.size = sizeof from.storage;
    return os::lifted(::accept4(socket_.get(), from.address(), &from.size, SOCK_CLOEXEC)
    );
}

void Listener::State::renew_spare() {
    if (!options_.authkey) {
        return;
    }
    UniqueFd spare = os::try_new_fd([] { return ::eventfd(0, EFD_CLOEXEC); });
    const os::ForkLockHeld held(detail::listeners_lock());
    if (!spare_ && !closed_) {
        std::swap(spare_, spare);
    }
    lacks_spare_ = !spare_;
}

// The program has all descriptors in use. A stranger that stays in the kernel's queue
// would wake us again at once, for ever; so it is sent away, by the one in reserve.
bool Listener::State::turn_away() {
    UniqueFd spare;
    {
        const os::ForkLockHeld held(detail::listeners_lock());
        std::swap(spare_, spare);
    }
    if (!spare) {
        return false;
    }
    spare.reset();
    detail::Endpoint from;
    UniqueFd stranger = accept_socket(from);
    const std::error_code error = stranger ? std::error_code() : os::last_error();
    const bool went = stranger.get() >= 0;
    ::shutdown(stranger.get(), SHUT_RDWR);  // as send_away()
    stranger.reset();
    renew_spare();
    if (went) {
        refusals_.count(detail::Outcome::dropped, [&] {
            return "a client was turned away at " + to_string(address_) +
                   ": no descriptor is left";
        });
    }
    return !is_no_room(error);
}

void Listener::State::begin_handshake(UniqueFd socket, const detail::Endpoint& from) {
    detail::Source source(from);
    if (address_.family() != Family::unix_socket) {
        detail::send_without_delay(socket.get());
    } else {
        const os::Peer peer = os::peer_of(socket.get());
        if (!is_allowed(peer)) {
            ::shutdown(socket.get(), SHUT_RDWR);  // as send_away()
            return;
        }
        source = detail::Source(peer.user);
    }
    detail::ClientSocket client{std::move(socket), detail::address_of(from), source};
    if (options_.authkey) {
        add_ready(pending_.begin(std::move(client)));
    } else {
        add_ready(std::move(client));
    }
}

bool Listener::State::is_allowed(const os::Peer& peer) {
    if (options_.any_user || os::is_own_user_or_root(peer)) {
        return true;
    }
    refusals_.count(detail::Outcome::refused_user, [&] {
        return "process " + std::to_string(peer.pid) + " of user " +
               std::to_string(peer.user) + " was refused at " + to_string(address_);
    });
    return false;
}

// Without one: its handshake goes on, or it was dropped.
void Listener::State::add_ready(std::optional<detail::ClientSocket> client) {
    if (!client) {
        return;
    }
    MP_FAILPOINT("listener: handshake over");
    const os::ForkLockHeld held(detail::listeners_lock());
    ready_.push_back(*std::move(client));
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
    const os::ForkLockHeld held(detail::listeners_lock());
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
    const os::ForkLockHeld held(detail::listeners_lock());
    return last_accepted_;
}

int Listener::State::fileno() {
    const os::ForkLockHeld held(detail::listeners_lock());
    renew_after_fork();
    if (closed_) {
        os::throw_error(EBADF, "the listener is closed");
    }
    return epoll_.fileno();
}

// A forked child that has not called yet has the parent's numbers in its memory.
ListenerStatistics Listener::State::statistics() const noexcept {
    const os::ForkLockHeld held(detail::listeners_lock());
    return here_.is_here() ? refusals_.statistics() : ListenerStatistics();
}

bool Listener::State::closed() const noexcept {
    const os::ForkLockHeld held(detail::listeners_lock());
    return closed_;
}

}  // namespace mp::connection
