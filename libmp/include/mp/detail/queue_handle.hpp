// SPDX-License-Identifier: BSL-1.0
// QueueHandle: what Queue, SimpleQueue and JoinableQueue have in common.
// Python:  none: its queues share no base class.
// Threads: any, on one handle, too.  Processes: all that have a handle.
#pragma once

#include "mp/archivable.hpp"
#include "mp/detail/bytes.hpp"
#include "mp/detail/queue_core.hpp"
#include "mp/detail/refusal.hpp"
#include "mp/detail/type_name.hpp"
#include "mp/detail/type_tag.hpp"
#include "mp/detail/value_refusal.hpp"
#include "mp/errors.hpp"
#include "mp/reduction.hpp"
#include "mp/timeout.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>

namespace mp {

/// For queues: `mp::Queue<Job> jobs({.maxsize = 100});`
struct QueueOptions {
    /// Most items at a time; 0 or less: no bound.
    std::int64_t maxsize = 0;
    /// Most memory that items may take, those above 32 KiB and the others each; beyond
    /// it the queue is full. 0: half of the machine's memory. No memory is taken before
    /// there are items. Less where RLIMIT_AS, RLIMIT_FSIZE or the addresses of the
    /// process leave less.
    std::uint64_t max_bytes = 0;
    /// How much free memory the queue keeps for its next items when it is empty. What
    /// is above this goes back to the system with the last item.
    std::uint64_t trim_threshold = std::uint64_t{16} << 20U;
};

namespace detail {

/// No value of T is longer in a queue; 0 when that is not known.
template <class T>
constexpr std::uint64_t most_bytes() {
    constexpr Kind kind = kind_of<T>();
    if constexpr (kind == Kind::scalar || kind == Kind::primitive) {
        return sizeof(T);
    } else if constexpr (kind == Kind::boolean || kind == Kind::empty) {
        return 1;
    } else if constexpr (kind == Kind::duration || kind == Kind::time_point) {
        return most_bytes<typename T::rep>();
    } else if constexpr (kind == Kind::array && std::is_array_v<T>) {
        return std::extent_v<T> * most_bytes<std::remove_extent_t<T>>();
    } else if constexpr (kind == Kind::array) {
        return std::tuple_size_v<T> * most_bytes<typename T::value_type>();
    } else if constexpr (kind == Kind::plain_struct && is_bitwise<T>()) {
        // A byte before it, usually. One that is somewhere saved through pointers goes
        // to the full archive, with an entry for each part of it.
        return sizeof(T) * 16 + 4096;
    } else {
        return 0;
    }
}

/// Throws SerializationError: the queue is one of another type.
[[noreturn]] void throw_other_queue(const std::string& type);

template <class T>
class QueueHandle {
public:
    /// Items there are, exactly. 0 after shutdown({.immediate = true}).
    std::size_t qsize() const { return core().size(); }

    bool empty() const { return core().size() == 0; }

    /// Whether there are maxsize items.
    bool full() const { return core().full(); }

    /// Readable while there is something to get, or by mistake: for
    /// mp::connection::wait() and poll(). Get with a timeout of 0 then. The queue keeps
    /// it up to date from the first call on.
    int fileno() const { return core().fileno(); }

    /// No more put() and get() by this process, through whatever handle.
    void close() {
        if (core_) {
            core_->close();
        }
    }

    bool closed() const noexcept { return core_ == nullptr || core_->closed(); }

    /// The same queue?
    friend bool operator==(const QueueHandle& a, const QueueHandle& b) noexcept {
        return a.core_ == b.core_;
    }

protected:
    QueueHandle() noexcept = default;

    QueueHandle(const QueueOptions& options, bool joinable)
        : core_(std::make_shared<QueueCore>(QueueLimits{
              .max_items =
                  options.maxsize > 0 ? static_cast<std::uint64_t>(options.maxsize) : 0,
              .max_bytes = options.max_bytes,
              .item_bytes = most_bytes<T>(),
              .trim_threshold = options.trim_threshold,
              .joinable = joinable,
              .type_tag = type_tag<T>(),
          })) {}

    void put_object(const T& object, Timeout timeout) {
        if constexpr (refusal_of_archived<T>() == Refusal::none) {
            ByteWriter message;
            encode(message, object);
            core().put(message.data(), timeout);
        }
    }

    T get_object(Timeout timeout) {
        if constexpr (refusal_of_archived<T>() == Refusal::none) {
            QueueItem item;
            core().get(item, timeout);
            ByteReader reader(item.bytes());
            T object = decode<T>(reader);
            item.check_kept();
            if (reader.left() != 0) {
                throw SerializationError(
                    SerializationPhase::decode,
                    "an item of the queue is longer than a " +
                        std::string(type_name<T>())
                );
            }
            return object;
        } else {
            throw Refused();
        }
    }

    template <class Archive>
    void travel(Archive& archive, const char* what) {
        if constexpr (Archive::is_saving::value) {
            static_cast<void>(core());  // there is one
            QueueTicket ticket = QueueTicket::of(core_, what);
            archive& ticket;
        } else {
            QueueTicket ticket;
            archive& ticket;
            core_ = ticket.open();
            if (core_->type_tag() != type_tag<T>()) {
                throw_other_queue(std::string(type_name<T>()));
            }
        }
    }

    QueueCore& core() const {
        if (core_ == nullptr) {
            throw std::invalid_argument("this is no queue");
        }
        return *core_;
    }

private:
    std::shared_ptr<QueueCore> core_;
};

}  // namespace detail

}  // namespace mp
