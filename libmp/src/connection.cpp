// SPDX-License-Identifier: BSL-1.0
#include "mp/connection.hpp"

#include "mp/detail/owner.hpp"
#include "mp/errors.hpp"

#include "check.hpp"
#include "pipe.hpp"
#include "poll.hpp"
#include "socket.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>

namespace mp {

namespace {

using Bytes = std::span<const std::byte>;

const Deadline never(forever);

constexpr std::size_t short_header = 4;
constexpr std::size_t long_header = 12;
// Up to here header and payload go in one write, as in CPython.
constexpr std::size_t one_write_limit = 16384;
constexpr std::size_t longest_short = 0x7fffffff;
// Memory is taken for what has arrived, not for what a length promises.
constexpr std::size_t first_piece = std::size_t{1} << 20;

template <class T>
void put_big_endian(std::byte* to, T value) noexcept {
    for (std::size_t i = sizeof value; i-- > 0;) {
        to[i] = static_cast<std::byte>(value & 0xff);
        value = static_cast<T>(value >> 8);
    }
}

template <class T>
T get_big_endian(const std::byte* from) noexcept {
    T value = 0;
    for (std::size_t i = 0; i < sizeof value; ++i) {
        value = static_cast<T>(value << 8 | std::to_integer<T>(from[i]));
    }
    return value;
}

struct Header {
    std::array<std::byte, long_header> bytes{};
    std::size_t size = short_header;

    explicit Header(std::size_t payload) noexcept {
        if (payload <= longest_short) {
            put_big_endian(bytes.data(), static_cast<std::uint32_t>(payload));
        } else {
            put_big_endian(bytes.data(), std::uint32_t{0xffffffff});
            put_big_endian(
                bytes.data() + short_header, static_cast<std::uint64_t>(payload)
            );
            size = long_header;
        }
    }

    Bytes span() const noexcept { return Bytes(bytes).first(size); }
};

// Throws EOFError at the end of the stream.
std::size_t receive_header(int fd) {
    std::array<std::byte, short_header> head{};
    os::receive_exactly(fd, head, never);
    const auto length =
        static_cast<std::int32_t>(get_big_endian<std::uint32_t>(head.data()));
    if (length >= 0) {
        return static_cast<std::size_t>(length);
    }
    if (length != -1) {
        os::throw_error(
            EBADMSG, ("bad message length: " + std::to_string(length)).c_str()
        );
    }
    std::array<std::byte, sizeof(std::uint64_t)> rest{};
    os::receive_rest(fd, rest, never);
    const auto size = get_big_endian<std::uint64_t>(rest.data());
    if (size > static_cast<std::uint64_t>(std::numeric_limits<ssize_t>::max())) {
        os::throw_error(
            EBADMSG, ("bad message length: " + std::to_string(size)).c_str()
        );
    }
    return size;
}

bool is_unix_socket(int fd) noexcept {
    int domain = 0;
    socklen_t size = sizeof domain;
    return ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 &&
           domain == AF_UNIX;
}

std::vector<std::byte> receive_payload(int fd, std::size_t size) {
    std::vector<std::byte> payload(std::min(size, first_piece));
    std::size_t done = 0;
    for (;;) {
        os::receive_rest(fd, std::span(payload).subspan(done), never);
        done = payload.size();
        if (done == size) {
            return payload;
        }
        payload.resize(size - done < done ? size : 2 * done);
    }
}

}  // namespace

// The descriptor and who is using it. `word_` holds, from the top: the fork depth at
// which the rest was counted, whether it is closed, how many calls are inside. A forked
// child starts counting anew: the parent's calls never return there.
class Connection::State {
public:
    State(UniqueFd fd, Direction direction)
        : fd_(std::move(fd)), unix_(is_unix_socket(fd_.get())), direction_(direction) {}

    ~State() = default;
    State(const State&) = delete;
    State& operator=(const State&) = delete;

    int fd() const noexcept { return fd_.get(); }

    bool carries_fds() const noexcept { return unix_; }

    bool is_closed() const noexcept { return (word_ & closed_bit) != 0; }

    bool enter() noexcept {
        std::uint64_t now = word_;
        do {
            if ((now & closed_bit) != 0) {
                return false;
            }
        } while (!word_.compare_exchange_weak(now, counted_here(now) + 1));
        return true;
    }

    void leave() noexcept {
        if ((word_.fetch_sub(1) & (closed_bit | count_mask)) == (closed_bit | 1)) {
            fd_.reset();
        }
    }

    void close() noexcept {
        std::uint64_t now = word_;
        do {
            if ((now & closed_bit) != 0) {
                return;
            }
        } while (!word_.compare_exchange_weak(now, counted_here(now) | closed_bit));
        if ((counted_here(now) & count_mask) == 0) {
            fd_.reset();
        }
    }

    bool allows(Direction wanted) const noexcept {
        return (static_cast<unsigned>(direction_.load()) & static_cast<unsigned>(wanted)
               ) != 0;
    }

    // What comes next on the wire is not the start of a message.
    void stop_reading() noexcept {
        if (allows(Direction::write)) {
            direction_ = Direction::write;
        } else {
            close();
        }
    }

private:
    static constexpr std::uint64_t process_mask = std::uint64_t{0xffffffff} << 32;
    static constexpr std::uint64_t count_mask = 0x7fffffff;
    static constexpr std::uint64_t closed_bit = 0x80000000;

    static std::uint64_t counted_here(std::uint64_t word) noexcept {
        // The lower half of the token grows from parent to child.
        const std::uint64_t here = detail::process_token() << 32;
        return (word & process_mask) == here ? word : here | (word & closed_bit);
    }

    UniqueFd fd_;
    // Set once in the constructor.
    bool unix_;
    // Own synchronisation. The direction loses `read` when the stream is out of step.
    std::atomic<Direction> direction_;
    std::atomic<std::uint64_t> word_ = counted_here(0);
};

// A call inside: the descriptor stays open until it returns.
class Connection::Use {
public:
    Use(const Connection& connection, Direction wanted) : state_(connection.state_) {
        if (!state_ || !state_->enter()) {
            os::throw_error(EBADF, "the connection is closed");
        }
        if (!state_->allows(wanted)) {
            state_->leave();
            os::throw_error(
                EBADF,
                wanted == Direction::read ? "the connection is write-only"
                                          : "the connection is read-only"
            );
        }
    }

    ~Use() { state_->leave(); }

    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

    int fd() const noexcept { return state_->fd(); }

    State& state() const noexcept { return *state_; }

    // The size of the next message.
    std::size_t receive_size() const {
        try {
            return receive_header(fd());
        } catch (const std::system_error&) {
            state_->stop_reading();
            throw;
        }
    }

    // Runs `receive`, which must take a whole message from the wire.
    template <class Receive>
    auto in_step(Receive receive) const {
        try {
            return receive();
        } catch (...) {
            state_->stop_reading();
            throw;
        }
    }

private:
    // Keeps the state while another thread assigns to the handle.
    const std::shared_ptr<State> state_;
};

Connection::Connection(UniqueFd fd, Direction direction) {
    if (!fd) {
        throw std::invalid_argument("a Connection needs a descriptor");
    }
    state_ = std::make_shared<State>(std::move(fd), direction);
}

void Connection::send_bytes(
    std::span<const std::byte> data, std::size_t offset, std::optional<std::size_t> size
) {
    const Use use(*this, Direction::write);
    if (offset > data.size() || (size && *size > data.size() - offset)) {
        throw std::invalid_argument(
            "cannot send " +
            (size ? std::to_string(*size) + " bytes " : std::string()) +
            "from offset " + std::to_string(offset) + " of " +
            std::to_string(data.size()) + " bytes"
        );
    }
    const Bytes message = data.subspan(offset, size.value_or(std::dynamic_extent));
    os::send_all(use.fd(), Header(message.size()).span(), message, never);
}

std::vector<std::byte> Connection::recv_bytes(std::optional<std::size_t> maxlength) {
    const Use use(*this, Direction::read);
    const std::size_t size = use.receive_size();
    return use.in_step([&] {
        if (maxlength && size > *maxlength) {
            os::throw_error(
                EMSGSIZE,
                ("bad message length: " + std::to_string(size) +
                 " bytes, allowed are " + std::to_string(*maxlength))
                    .c_str()
            );
        }
        return receive_payload(use.fd(), size);
    });
}

std::size_t
Connection::recv_bytes_into(std::span<std::byte> buffer, std::size_t offset) {
    const Use use(*this, Direction::read);
    if (offset > buffer.size()) {
        throw std::invalid_argument(
            "offset " + std::to_string(offset) + " is outside of a buffer of " +
            std::to_string(buffer.size()) + " bytes"
        );
    }
    buffer = buffer.subspan(offset);
    const std::size_t size = use.receive_size();
    std::vector<std::byte> too_long = use.in_step([&] {
        if (size > buffer.size()) {
            return receive_payload(use.fd(), size);
        }
        os::receive_rest(use.fd(), buffer.first(size), never);
        return std::vector<std::byte>();
    });
    if (size > buffer.size()) {
        throw BufferTooShort(std::move(too_long));
    }
    return size;
}

bool Connection::poll(Timeout timeout) const {
    const Use use(*this, Direction::read);
    return os::wait_readable(use.fd(), Deadline(timeout));
}

int Connection::fileno() const {
    if (closed()) {
        os::throw_error(EBADF, "the connection is closed");
    }
    return state_->fd();
}

bool Connection::readable() const noexcept {
    return state_ && state_->allows(Direction::read);
}

bool Connection::writable() const noexcept {
    return state_ && state_->allows(Direction::write);
}

bool Connection::closed() const noexcept {
    return !state_ || state_->is_closed();
}

void Connection::close() noexcept {
    if (state_) {
        state_->close();
    }
}

Pipe::Pipe(Duplex duplex) {
    if (duplex == Duplex::yes) {
        auto [a, b] = os::make_socketpair(os::SocketKind::stream);
        first = Connection(std::move(a));
        second = Connection(std::move(b));
    } else {
        auto [reader, writer] = os::make_pipe();
        first = Connection(std::move(reader), Direction::read);
        second = Connection(std::move(writer), Direction::write);
    }
}

}  // namespace mp
