// SPDX-License-Identifier: BSL-1.0
#include "concurrency/local.hpp"

#include "concurrency/errors.hpp"
#include "concurrency/loop/loop.hpp"

#include <atomic>

namespace concurrency {

namespace detail {

namespace {

std::uint64_t new_key() noexcept {
    static std::atomic<std::uint64_t> last{0};
    return ++last;
}

/// The values of the task or the loop that runs here.
class Place {
public:
    explicit Place(LocalPlace place) : task_(this_task()), place_(place) {}

    std::uint64_t owner() const noexcept {
        return place_ == LocalPlace::task ? task_.id() : task_.loop().id();
    }

    const LocalValues& values() const noexcept {
        return place_ == LocalPlace::task ? task_.locals() : task_.loop().locals();
    }

    // What was there is destroyed last: it may be anything.
    void set_values(LocalValues values) noexcept {
        const LocalValues before = this->values();
        if (place_ == LocalPlace::task) {
            task_.set_locals(std::move(values));
        } else {
            task_.loop().set_locals(std::move(values));
        }
    }

private:
    LoopTask& task_;
    LocalPlace place_;
};

const LocalValue* find_in(const LocalValues& values, std::uint64_t key) noexcept {
    const LocalValue* entry = values.get();
    while (entry != nullptr && entry->key != key) {
        entry = entry->next.get();
    }
    return entry;
}

// The others are copied up to the last one of this variable, and shared behind it.
LocalValues without(const LocalValues& values, std::uint64_t key) {
    LocalValues rest = values;
    LocalValues first;
    LocalValues* last = &first;
    for (const LocalValue* entry = find_in(rest, key); entry != nullptr;
         entry = find_in(rest, key)) {
        for (; rest.get() != entry; rest = LocalValues(rest->next)) {
            auto copy = std::make_shared<LocalValue>(LocalValue{
                nullptr, rest->key, rest->value});
            LocalValues* next = &copy->next;
            *last = std::move(copy);
            last = next;
        }
        rest = LocalValues(rest->next);
    }
    *last = std::move(rest);
    return first;
}

LocalValues
with(const LocalValues& values, std::uint64_t key, std::shared_ptr<const void> value) {
    return std::make_shared<const LocalValue>(LocalValue{
        without(values, key), key, std::move(value)});
}

std::shared_ptr<const void>
value_in(const LocalValues& values, std::uint64_t key) noexcept {
    const LocalValue* entry = find_in(values, key);
    return entry != nullptr ? entry->value : nullptr;
}

}  // namespace

LocalVariable::LocalVariable(LocalPlace place, std::string name)
    : place_(place), key_(new_key()), name_(std::move(name)) {}

const void* LocalVariable::find() const {
    const LocalValue* entry = find_in(Place(place_).values(), key_);
    return entry != nullptr ? entry->value.get() : nullptr;
}

LocalToken LocalVariable::set_value(std::shared_ptr<const void> value) {
    Place place(place_);
    LocalToken token;
    token.key_ = key_;
    token.owner_ = place.owner();
    token.before_ = place.values();
    token.after_ = with(token.before_, key_, std::move(value));
    place.set_values(token.after_);
    return token;
}

LocalGuard LocalVariable::set_scoped(std::shared_ptr<const void> value) {
    auto spare = std::make_shared<LocalValue>();
    return LocalGuard(place_, set_value(std::move(value)), std::move(spare));
}

void LocalVariable::reset(LocalToken& token) {
    if (token.key_ == 0) {
        throw ValueError("the token of a variable can be used once, and it has been");
    }
    if (token.key_ != key_) {
        throw ValueError("the token belongs to another variable than '" + name_ + "'");
    }
    Place place(place_);
    if (token.owner_ != place.owner()) {
        throw ValueError(
            "the token of the variable '" + name_ + "' belongs to another " +
            (place_ == LocalPlace::task ? "task" : "run")
        );
    }
    // Others may have been set since.
    LocalValues values =
        place.values() == token.after_
            ? token.before_
            : with(place.values(), key_, value_in(token.before_, key_));
    token.key_ = 0;
    place.set_values(std::move(values));
    token.before_ = token.after_ = nullptr;
}

void LocalVariable::throw_lookup_error() const {
    throw LookupError("the variable '" + name_ + "' has no value here");
}

}  // namespace detail

LocalToken::LocalToken(LocalToken&& other) noexcept
    : key_(std::exchange(other.key_, 0)),
      owner_(other.owner_),
      before_(std::move(other.before_)),
      after_(std::move(other.after_)) {}

LocalToken& LocalToken::operator=(LocalToken&& other) noexcept {
    key_ = std::exchange(other.key_, 0);
    owner_ = other.owner_;
    before_ = std::move(other.before_);
    after_ = std::move(other.after_);
    return *this;
}

LocalGuard::~LocalGuard() {
    // A coroutine that is destroyed where it waits is in no task, or in another's turn.
    if (detail::running_task() == nullptr) {
        return;
    }
    detail::Place place(place_);
    if (place.owner() != token_.owner_) {
        return;
    }
    if (place.values() == token_.after_) {
        place.set_values(std::move(token_.before_));
        return;
    }
    spare_->next = place.values();
    spare_->key = token_.key_;
    spare_->value = detail::value_in(token_.before_, token_.key_);
    place.set_values(std::move(spare_));
}

}  // namespace concurrency
