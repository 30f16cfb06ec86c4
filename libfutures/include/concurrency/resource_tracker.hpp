// SPDX-License-Identifier: BSL-1.0
// LeakTracker: which of the objects that were named to it are still alive.
// Python:  lionpride.libs.concurrency.LeakTracker, LeakInfo, track_resource,
//          untrack_resource.
// Differs: there are no weak references to any object: one that is owned by a
//          std::shared_ptr is watched through that, any other keeps a Token as a member.
// Threads: any.
// Read next: src/concurrency/patterns/resource_tracker.cpp
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace concurrency {

namespace detail {

/// An object itself, and not something that points to one.
template <class T>
concept TrackedObject = !std::is_const_v<T> && !std::is_pointer_v<T> &&
                        !std::is_array_v<T> && !requires(T & object) {
    object.operator->();
};

}  // namespace detail

/// What is known of an object that is alive.
struct LeakInfo {
    /// What track() was told, or "obj-" with the address.
    std::string name;
    /// What track() was told, if anything.
    std::optional<std::string> kind;
    /// When it was tracked: seconds since 1970.
    double created_at = 0;
};

/// A list of objects that are alive. An object that dies leaves it by itself.
class LeakTracker {
    class Objects;

public:
    /// Takes its object out of the tracker when it is destroyed: a member of the
    /// object, or whatever dies with it. May outlive the tracker.
    class [[nodiscard]] Token {
    public:
        /// Of no object.
        Token() noexcept = default;

        Token(Token&& other) noexcept
            : objects_(std::move(other.objects_)),
              object_(std::exchange(other.object_, nullptr)),
              number_(other.number_) {}

        Token& operator=(Token&& other) noexcept;
        ~Token() { untrack(); }

        /// Takes the object out now. Not if it was tracked anew since: then that
        /// counts.
        void untrack() noexcept;

    private:
        friend class LeakTracker;

        Token(
            std::weak_ptr<Objects> objects, const void* object, std::uint64_t number
        ) noexcept
            : objects_(std::move(objects)), object_(object), number_(number) {}

        std::weak_ptr<Objects> objects_;
        const void* object_ = nullptr;
        std::uint64_t number_ = 0;
    };

    LeakTracker();
    LeakTracker(const LeakTracker&) = delete;
    LeakTracker& operator=(const LeakTracker&) = delete;
    ~LeakTracker();

    /// Notes an object, until the token dies. An object that is in the list already
    /// gets a new entry in place of the old one. Without a name, or with an empty one,
    /// it is called by its address.
    Token track(
        const void* object,
        std::optional<std::string> name = std::nullopt,
        std::optional<std::string> kind = std::nullopt
    );

    /// The same: track(*this).
    template <detail::TrackedObject T>
    Token track(
        T& object,
        std::optional<std::string> name = std::nullopt,
        std::optional<std::string> kind = std::nullopt
    ) {
        return track(
            static_cast<const void*>(std::addressof(object)),
            std::move(name),
            std::move(kind)
        );
    }

    /// Notes an object until its last std::shared_ptr dies. Nothing for a null pointer.
    template <class T>
    void track(
        const std::shared_ptr<T>& object,
        std::optional<std::string> name = std::nullopt,
        std::optional<std::string> kind = std::nullopt
    ) {
        watch(object, std::move(name), std::move(kind));
    }

    /// Takes an object out. One that is not in the list is ignored.
    void untrack(const void* object) noexcept;

    template <detail::TrackedObject T>
    void untrack(T& object) noexcept {
        untrack(static_cast<const void*>(std::addressof(object)));
    }

    template <class T>
    void untrack(const std::shared_ptr<T>& object) noexcept {
        untrack(static_cast<const void*>(object.get()));
    }

    /// What is alive now, in the order in which it was tracked.
    std::vector<LeakInfo> live() const;

    /// Forgets all of it. The objects are not touched.
    void clear() noexcept;

private:
    void watch(
        const std::shared_ptr<const void>& object,
        std::optional<std::string> name,
        std::optional<std::string> kind
    );

    std::shared_ptr<Objects> objects_;
};

namespace detail {

/// That of track_resource(), which is never destroyed.
LeakTracker& program_tracker();

}  // namespace detail

/// track() of a tracker that the program has.
inline LeakTracker::Token track_resource(
    const void* object,
    std::optional<std::string> name = std::nullopt,
    std::optional<std::string> kind = std::nullopt
) {
    return detail::program_tracker().track(object, std::move(name), std::move(kind));
}

/// The same: track_resource(*this).
template <detail::TrackedObject T>
LeakTracker::Token track_resource(
    T& object,
    std::optional<std::string> name = std::nullopt,
    std::optional<std::string> kind = std::nullopt
) {
    return detail::program_tracker().track(object, std::move(name), std::move(kind));
}

/// The same for an object that a std::shared_ptr owns.
template <class T>
void track_resource(
    const std::shared_ptr<T>& object,
    std::optional<std::string> name = std::nullopt,
    std::optional<std::string> kind = std::nullopt
) {
    detail::program_tracker().track(object, std::move(name), std::move(kind));
}

/// untrack() of the program's tracker.
inline void untrack_resource(const void* object) noexcept {
    detail::program_tracker().untrack(object);
}

/// The same: untrack_resource(*this).
template <detail::TrackedObject T>
void untrack_resource(T& object) noexcept {
    detail::program_tracker().untrack(object);
}

/// The same for an object that a std::shared_ptr owns.
template <class T>
void untrack_resource(const std::shared_ptr<T>& object) noexcept {
    detail::program_tracker().untrack(object);
}

}  // namespace concurrency
