// SPDX-License-Identifier: BSL-1.0
// Which objects of a graph may be named again, and by what.
#include "mp/detail/object_table.hpp"

#include "mp/detail/archive_errors.hpp"
#include "mp/detail/nesting.hpp"

#include <algorithm>
#include <iterator>
#include <new>
#include <utility>

namespace mp::detail {

namespace {

std::uintptr_t number(const void* address) noexcept {
    return reinterpret_cast<std::uintptr_t>(address);
}

}  // namespace

ObjectTable::ObjectTable() noexcept
    : deepest_(static_cast<std::uint32_t>(levels_to_destroy())) {}

// Weak pointers own nothing: what they alone hold goes now, with all that it owns.
ObjectTable::~ObjectTable() {
    const bool some_go =
        std::any_of(owners_.begin(), owners_.end(), [&](const Owned& it) {
            return it.owner != nullptr && objects_[it.object].held == Hold::weak;
        });
    if (!some_go) {
        return;
    }
    try {
        find_what_lives();
        spare_holders_of_named();
    } catch (const std::bad_alloc&) {
        for (const Owned& owned : owners_) {
            spare(owned.object);
        }
    }
}

// Begins with what the value itself owns and what nobody owns.
void ObjectTable::find_what_lives() {
    std::sort(ownerships_.begin(), ownerships_.end(), [](const auto& a, const auto& b) {
        return a.owner < b.owner;
    });
    std::vector<Number> found;
    for (Number i = 0; i < size(); ++i) {
        Object& object = objects_[i];
        if (!object.in_place && (object.lives || object.held == Hold::raw)) {
            object.lives = true;
            found.push_back(i);
        }
    }
    while (!found.empty()) {
        const Number owner = found.back();
        found.pop_back();
        auto at = std::lower_bound(
            ownerships_.begin(),
            ownerships_.end(),
            owner,
            [](const Ownership& it, Number wanted) { return it.owner < wanted; }
        );
        for (; at != ownerships_.end() && at->owner == owner; ++at) {
            if (!std::exchange(objects_[at->object].lives, true)) {
                found.push_back(at->object);
            }
        }
    }
}

// What a raw pointer names stays, so what owns it has to stay, too, and belongs to who
// named it, or to nobody.
void ObjectTable::spare_holders_of_named() {
    std::sort(ownerships_.begin(), ownerships_.end(), [](const auto& a, const auto& b) {
        return a.object < b.object;
    });
    std::vector<Number> found;
    const auto stays = [&](Number pointee) {
        if (pointee != none && !std::exchange(objects_[pointee].lives, true)) {
            found.push_back(pointee);
        }
    };
    for (Number i = 0; i < size(); ++i) {
        if (objects_[i].held_raw) {
            stays(pointee_of(i));
        }
    }
    while (!found.empty()) {
        const Number object = found.back();
        found.pop_back();
        spare(object);
        auto at = std::lower_bound(
            ownerships_.begin(),
            ownerships_.end(),
            object,
            [](const Ownership& it, Number wanted) { return it.object < wanted; }
        );
        for (; at != ownerships_.end() && at->object == object; ++at) {
            stays(at->owner);
        }
    }
}

void ObjectTable::spare(Number object) noexcept {
    const Object& known = objects_[object];
    if (known.held == Hold::weak && known.owner != none &&
        owners_[known.owner].owner != nullptr) {
        owners_[known.owner].owner->spare();
    }
}

void ObjectTable::own(Number object, const Inside& owner) {
    if (owner.pointee == none) {
        objects_[object].lives = true;
        return;
    }
    const int levels = std::max(1, nesting_of_thread.depth - owner.depth);
    const std::uint32_t below =
        objects_[object].below + static_cast<std::uint32_t>(levels);
    if (below > deepest_) {
        throw_decode_error(
            "objects are nested deeper, by what they own, than the stack "
            "can destroy"
        );
    }
    objects_[owner.pointee].below = std::max(objects_[owner.pointee].below, below);
    ownerships_.push_back({.object = object, .owner = owner.pointee});
}

ObjectTable::Number ObjectTable::add_in_place(void* address, Number type) {
    const Number added = size();
    if (is_in_open_frame(number(address))) {
        on_stack_.push_back(added);
    }
    objects_.push_back(
        {.address = address,
         .type = type,
         .pointee = inside_.pointee,
         .in_place = true,
         .constructed = true}
    );
    return added;
}

ObjectTable::Number ObjectTable::add_pointee(void* address, Number type, Hold hold) {
    objects_.push_back(
        {.address = address,
         .type = type,
         .pointee = inside_.pointee,
         .in_place = false,
         .constructed = false,
         .held_raw = hold == Hold::raw,
         .held = hold}
    );
    return size() - 1;
}

ObjectTable::Inside ObjectTable::enter_pointee(Number pointee) noexcept {
    const Inside outer = inside_;
    if (pointee != none) {
        inside_ = {.pointee = pointee, .depth = nesting_of_thread.depth};
    }
    return outer;
}

void ObjectTable::meet_in_place(Number object, const void* address, Number type) const {
    const Object& known = objects_[object];
    if (known.type != type || !known.in_place || known.lost ||
        known.address != address) {
        throw_decode_error("an object that was read before is another one");
    }
}

void* ObjectTable::hold(Number object, Number type, Hold hold) {
    Object& known = objects_[object];
    if (known.type != type) {
        throw_decode_error("a pointer to an object of another class");
    }
    if (known.lost) {
        throw_decode_error("a pointer to an object that was copied or dropped");
    }
    if (!known.constructed) {
        throw_decode_error("a pointer to an object that is not there yet");
    }
    if (hold == Hold::raw) {
        known.held_raw = true;
        return known.address;
    }
    if (known.in_place) {
        throw_decode_error("a pointer would own an object that is a part of another");
    }
    if (known.held == Hold::unique ||
        (hold == Hold::unique && known.held != Hold::raw)) {
        throw_decode_error("a second owner of an object that has one");
    }
    if (known.held != Hold::shared) {
        known.held = hold;
    }
    void* const address = known.address;
    if (hold != Hold::weak) {
        own(object, inside_);
    }
    return address;
}

std::unique_ptr<SharedOwner>& ObjectTable::owner_of(Number object) {
    Object& known = objects_[object];
    if (known.owner == none) {
        owners_.push_back({object, nullptr});
        known.owner = static_cast<Number>(owners_.size() - 1);
    }
    return owners_[known.owner].owner;
}

namespace {

[[noreturn]] void throw_moved() {
    throw_decode_error("a pointer to an object that has to move while it is read");
}

/// Of ascending numbers, those since that one, which stand at the end.
template <class Gone>
void erase_from(
    std::vector<ObjectTable::Number>& numbers, std::uint32_t since, Gone gone
) {
    auto begin = numbers.end();
    while (begin != numbers.begin() && *std::prev(begin) >= since) {
        --begin;
    }
    numbers.erase(std::remove_if(begin, numbers.end(), gone), numbers.end());
}

}  // namespace

void ObjectTable::move(const ObjectMove& move) {
    for (Number i = move.since; i < size(); ++i) {
        Object& object = objects_[i];
        if (!is_inside_since(object, move.since)) {
            continue;
        }
        const std::uintptr_t offset = number(object.address) - number(move.from);
        const bool moves = offset < move.size;
        if (object.held_raw && (moves || !move.keeps_owned)) {
            throw_moved();
        }
        if (moves) {
            object.address =
                const_cast<std::byte*>(static_cast<const std::byte*>(move.to) + offset);
        } else if (!move.keeps_owned) {
            object.lost = true;
        }
    }
    erase_from(on_stack_, move.since, [&](Number i) {
        return !is_in_open_frame(number(objects_[i].address));
    });
}

// Level by level, when an exception passes: what is lost already is not looked at
// again.
void ObjectTable::lose(Number since) noexcept {
    const Number end = lost_end_ == size() ? std::max(since, lost_since_) : size();
    for (Number i = since; i < end; ++i) {
        objects_[i].lost = true;
    }
    if (lost_end_ != size() || since < lost_since_) {
        lost_since_ = since;
        lost_end_ = size();
    }
}

void ObjectTable::lose_below(std::uintptr_t frame, Number since) {
    if (!is_on_own_stack(frame)) {
        return;
    }
    bool pointed_at = false;
    erase_from(on_stack_, since, [&](Number i) {
        const bool gone = number(objects_[i].address) < frame;
        pointed_at = pointed_at || (gone && objects_[i].held_raw);
        objects_[i].lost = objects_[i].lost || gone;
        return gone;
    });
    if (pointed_at) {
        throw_moved();
    }
}

void ObjectTable::check_pointers_into(const ReadValue& value) const {
    const auto is_part = [&](const Object& object) {
        return number(object.address) - number(value.place) < value.size;
    };
    for (const Number i : on_stack_) {
        // A variable whose function was compiled into another.
        if (objects_[i].held_raw && !is_part(objects_[i])) {
            throw_moved();
        }
    }
    if (!value.moves) {
        return;
    }
    for (const Object& object : objects_) {
        if (object.in_place && object.held_raw && !object.lost && is_part(object)) {
            throw_decode_error(
                "a pointer to a part of the value itself, which moves when "
                "it is returned"
            );
        }
    }
}

}  // namespace mp::detail
