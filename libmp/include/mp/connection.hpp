// SPDX-License-Identifier: BSL-1.0
// Connection and Pipe: messages between two processes.
// Python:  multiprocessing.connection.Connection, multiprocessing.Pipe.
// Differs: recv<T>() names the type and checks it. A length below -1 is refused. A
//          message that ends between its length and its first byte is cut off, not the
//          end of the stream. A message that is longer than allowed is passed over, and
//          the next one can be received; `.max_message_size` allows so much always.
// Threads: one sender and one receiver at a time; close() at any time: the descriptor
//          goes when the last call inside has returned.
// Processes: both ends may be copied into children, where each copy counts: the end of
//          the stream comes only when every copy of the other end is closed.
// Owns:    the descriptor, shared by all copies of the handle in this process.
// Throws:  std::system_error: EBADF when closed or used in the wrong direction, EPIPE
//          when nobody reads any more (never SIGPIPE), EMSGSIZE, ECONNRESET for a
//          message that is cut off. EOFError, BufferTooShort, SerializationError.
#pragma once

#include "mp/archivable.hpp"
#include "mp/detail/bytes.hpp"
#include "mp/detail/refusal.hpp"
#include "mp/detail/travelling_fd.hpp"
#include "mp/detail/type_name.hpp"
#include "mp/detail/type_tag.hpp"
#include "mp/detail/value_refusal.hpp"
#include "mp/fd.hpp"
#include "mp/reduction.hpp"
#include "mp/timeout.hpp"

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace mp {

struct HandleOptions;
struct ConnectionHandshake;

/// What an end of a Pipe is for.
enum class Direction : std::uint8_t {
    read = 1,   ///< to receive
    write = 2,  ///< to send
    both = 3,   ///< for both
};

struct ConnectionOptions {
    /// What the end is for.
    Direction direction = Direction::both;
    /// A longer message is not received: std::system_error(EMSGSIZE), at its length,
    /// before any memory is taken for it. In bytes, as sent; none: any length.
    std::optional<std::size_t> max_message_size{};
};

/// One end of a stream of messages: a pipe, a Unix-domain socket or a TCP socket. The
/// bytes on the wire are those of CPython's Connection. Copies of the handle share it;
/// it closes with the last of them, or by close() for all of them.
class Connection {
public:
    /// Closed; something to assign to.
    Connection() noexcept = default;

    /// Takes the descriptor. Throws std::invalid_argument when there is none.
    explicit Connection(UniqueFd fd, Direction direction = Direction::both);

    /// The same, by options.
    Connection(UniqueFd fd, ConnectionOptions options);

    /// Sends any value that can be archived; text of any kind as std::string. Blocks
    /// while the other end is not reading and what lies between is full. Throws
    /// SerializationError, before anything is sent.
    template <class T>
    void send(const T& object) {
        using Sent = detail::Sent<T>;
        if constexpr (detail::accepts<detail::refusal_of_archived<Sent>(), T>()) {
            detail::OutgoingFds fds(carries_fds());
            detail::ByteWriter message;
            message.put_value(detail::type_tag<Sent>());
            if constexpr (std::same_as<T, Sent>) {
                detail::encode(message, object);
            } else {
                detail::encode(message, Sent(object));
            }
            send_message(message.data(), fds);
        }
    }

    /// Blocks for one object. Throws SerializationError when something else was sent:
    /// that message is gone then, the next one is whole. EOFError when every copy of
    /// the other end is closed.
    template <class T>
    T recv() {
        if constexpr (detail::accepts<detail::refusal_of_archived<T>(), T>()) {
            detail::IncomingFds fds;
            const std::vector<std::byte> message = recv_message(fds);
            detail::ByteReader reader(message);
            check_tag(reader, detail::type_tag<T>(), detail::type_name<T>());
            T object = detail::decode<T>(reader);
            check_end(reader, detail::type_name<T>());
            return object;
        } else {
            throw detail::Refused();
        }
    }

    /// Sends the bytes from `offset` on, at most `size` of them, as one message; an
    /// empty one is a message too. Throws std::invalid_argument when they are not all
    /// in `data`.
    void send_bytes(
        std::span<const std::byte> data,
        std::size_t offset = 0,
        std::optional<std::size_t> size = std::nullopt
    );

    void send_bytes(std::string_view text) {
        send_bytes(std::as_bytes(std::span(text.data(), text.size())));
    }

    /// Blocks for one message. A longer one than `maxlength` is
    /// std::system_error(EMSGSIZE), and nothing else happens to this end: the next call
    /// passes over that message, however long it is, and takes the one behind it. As
    /// long as more of it is to come, wait() takes that for a message; poll() does not.
    std::vector<std::byte>
    recv_bytes(std::optional<std::size_t> maxlength = std::nullopt);

    /// Blocks for one message, puts it at `offset` of `buffer` and returns its size.
    /// Throws BufferTooShort, which has the message, when it does not fit.
    std::size_t recv_bytes_into(std::span<std::byte> buffer, std::size_t offset = 0);

    /// Whether there is something to receive: a message, part of one, or the end of the
    /// stream.
    bool poll(Timeout timeout = std::chrono::seconds(0)) const;

    /// The longest message that is received; none: any length.
    std::optional<std::size_t> max_message_size() const noexcept;

    /// The same, from the next message on, for all copies of this handle. Sending has
    /// no limit. Throws std::system_error(EBADF) when there is no connection.
    void set_max_message_size(std::optional<std::size_t> size);

    /// Throws std::system_error(EBADF) when closed.
    int fileno() const;

    /// Whether this end may receive.
    bool readable() const noexcept;
    /// Whether this end may send.
    bool writable() const noexcept;
    /// Whether close() was called here.
    bool closed() const noexcept;

    /// Closes every copy of this handle in this process; again does nothing.
    void close() noexcept;

    /// In the arguments of a child that is being started, and in messages over a
    /// Unix-domain socket: the other process gets a copy of this end. Throws StateError
    /// anywhere else.
    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        if constexpr (Archive::is_saving::value) {
            const Travelling end = hand_over();
            archive& end.number& end.direction& end.longest& end.unread;
        } else {
            Travelling end;
            archive& end.number& end.direction& end.longest& end.unread;
            take_over(end);
        }
    }

private:
    class State;
    class Use;
    friend void send_handle(const Connection&, int, HandleOptions);
    friend UniqueFd recv_handle(const Connection&, HandleOptions);
    friend struct ConnectionHandshake;

    /// Whether descriptors can go with a message: over a Unix-domain socket.
    bool carries_fds() const noexcept;
    void
    send_message(std::span<const std::byte> message, const detail::OutgoingFds& fds);
    std::vector<std::byte> recv_message(detail::IncomingFds& fds);
    static void
    check_tag(detail::ByteReader& message, std::uint64_t tag, std::string_view type);
    static void check_end(const detail::ByteReader& message, std::string_view type);

    // What another process must know to go on with a copy of this end.
    struct Travelling {
        std::uint32_t number = 0;
        std::uint8_t direction = 0;
        std::uint64_t longest = 0;
        std::uint64_t unread = 0;
    };

    Travelling hand_over() const;
    void take_over(const Travelling& end);

    std::shared_ptr<State> state_;
};

/// Whether both ends of a Pipe may send and receive.
enum class Duplex : bool {
    no,   ///< the first one receives, the second one sends
    yes,  ///< both do both
};

struct PipeOptions {
    /// Whether both ends may send and receive.
    bool duplex = true;
    /// As of ConnectionOptions, for both ends.
    std::optional<std::size_t> max_message_size{};
};

/// Two connected ends: `auto [a, b] = mp::Pipe();`. With Duplex::no the first one only
/// receives and the second one only sends.
struct Pipe {
    Pipe() : Pipe(Duplex::yes) {}

    /// Both ways, or only from second to first. Throws std::system_error.
    explicit Pipe(Duplex duplex);

    /// The same, by option.
    explicit Pipe(PipeOptions options)
        : Pipe(options.duplex ? Duplex::yes : Duplex::no) {
        first.set_max_message_size(options.max_message_size);
        second.set_max_message_size(options.max_message_size);
    }

    /// The end that receives, when only one does.
    Connection first;
    /// The end that sends, when only one does.
    Connection second;
};

}  // namespace mp
