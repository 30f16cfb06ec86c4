// SPDX-License-Identifier: BSL-1.0
#include "concurrency/resource_tracker.hpp"

#include "mp/thread_safety.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <ctime>
#include <iterator>
#include <unordered_map>

namespace concurrency {

namespace {

std::string name_of(const void* object) {
    // The address in hexadecimal digits, and a terminating zero.
    char text[2 + 2 * sizeof(void*) + 1];
    std::snprintf(text, sizeof text, "%p", object);
    return std::string("obj-") + text;
}

// The date, for people; nothing waits by this clock, which may be set.
double seconds_since_1970() noexcept {
    std::timespec now{};
    std::timespec_get(&now, TIME_UTC);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

}  // namespace

/// The list, which tokens refer to also when its tracker is gone.
class LeakTracker::Objects {
public:
    struct Entry {
        std::uint64_t number = 0;
        bool is_watched = false;
        std::weak_ptr<const void> watched;
        LeakInfo info;

        bool is_dead() const noexcept { return is_watched && watched.expired(); }
    };

    std::uint64_t add(const void* object, Entry entry) {
        const mp::detail::MutexLock lock(mutex_);
        if (entries_.size() >= look_at_) {
            drop_dead();
            look_at_ = std::max(first_look, 2 * entries_.size());
        }
        entry.number = next_++;
        const std::uint64_t number = entry.number;
        entries_[object] = std::move(entry);
        return number;
    }

    void remove(const void* object) noexcept {
        const mp::detail::MutexLock lock(mutex_);
        entries_.erase(object);
    }

    void remove(const void* object, std::uint64_t number) noexcept {
        const mp::detail::MutexLock lock(mutex_);
        const auto entry = entries_.find(object);
        if (entry != entries_.end() && entry->second.number == number) {
            entries_.erase(entry);
        }
    }

    std::vector<LeakInfo> live() {
        std::vector<std::pair<std::uint64_t, LeakInfo>> found;
        {
            const mp::detail::MutexLock lock(mutex_);
            drop_dead();
            for (const auto& [object, entry] : entries_) {
                found.emplace_back(entry.number, entry.info);
            }
        }
        std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
            return a.first < b.first;
        });
        std::vector<LeakInfo> infos;
        infos.reserve(found.size());
        for (auto& [number, info] : found) {
            infos.push_back(std::move(info));
        }
        return infos;
    }

    void clear() noexcept {
        const mp::detail::MutexLock lock(mutex_);
        entries_.clear();
    }

private:
    // So many entries are looked through for dead ones no sooner than when they have
    // doubled: a program that never asks for live() keeps a bounded rest of them.
    static constexpr std::size_t first_look = 64;

    void drop_dead() noexcept MP_REQUIRES(mutex_) {
        for (auto entry = entries_.begin(); entry != entries_.end();) {
            entry = entry->second.is_dead() ? entries_.erase(entry) : std::next(entry);
        }
    }

    mp::detail::Mutex mutex_;
    std::unordered_map<const void*, Entry> entries_ MP_GUARDED_BY(mutex_);
    std::uint64_t next_ MP_GUARDED_BY(mutex_) = 1;
    std::size_t look_at_ MP_GUARDED_BY(mutex_) = first_look;
};

namespace {

LeakInfo info_of(
    const void* object, std::optional<std::string> name, std::optional<std::string> kind
) {
    return {
        name && !name->empty() ? std::move(*name) : name_of(object),
        std::move(kind),
        seconds_since_1970()};
}

}  // namespace

LeakTracker::Token& LeakTracker::Token::operator=(Token&& other) noexcept {
    if (this != &other) {
        untrack();
        objects_ = std::move(other.objects_);
        object_ = std::exchange(other.object_, nullptr);
        number_ = other.number_;
    }
    return *this;
}

void LeakTracker::Token::untrack() noexcept {
    if (const std::shared_ptr<Objects> objects = objects_.lock()) {
        objects->remove(object_, number_);
    }
    objects_.reset();
}

LeakTracker::LeakTracker() : objects_(std::make_shared<Objects>()) {}

LeakTracker::~LeakTracker() = default;

LeakTracker::Token LeakTracker::track(
    const void* object, std::optional<std::string> name, std::optional<std::string> kind
) {
    Objects::Entry entry;
    entry.info = info_of(object, std::move(name), std::move(kind));
    return Token(objects_, object, objects_->add(object, std::move(entry)));
}

void LeakTracker::watch(
    const std::shared_ptr<const void>& object,
    std::optional<std::string> name,
    std::optional<std::string> kind
) {
    if (!object) {
        return;
    }
    Objects::Entry entry;
    entry.is_watched = true;
    entry.watched = object;
    entry.info = info_of(object.get(), std::move(name), std::move(kind));
    objects_->add(object.get(), std::move(entry));
}

void LeakTracker::untrack(const void* object) noexcept {
    objects_->remove(object);
}

std::vector<LeakInfo> LeakTracker::live() const {
    return objects_->live();
}

void LeakTracker::clear() noexcept {
    objects_->clear();
}

LeakTracker& detail::program_tracker() {
    // Never destroyed: objects of any static lifetime may be in it.
    static auto* tracker = new LeakTracker;
    return *tracker;
}

}  // namespace concurrency
