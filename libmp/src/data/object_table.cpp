// SPDX-License-Identifier: BSL-1.0
// Which objects of a graph may be named again, and by what.
#include "mp/detail/object_table.hpp"

#include "mp/detail/archive_errors.hpp"
#include "mp/detail/nesting.hpp"

#include <algorithm>
#include <utility>

namespace mp::detail {

namespace {

std::uintptr_t number(const void* address) noexcept {
    return reinterpret_cast<std::uintptr_t>(address);
}

}  // namespace

ObjectTable::~ObjectTable() {
    for (const Owned& owned : owners_) {
        const Object& object = objects_[owned.object];
        // Weak pointers own nothing; what else names it has it now, or nobody has.
        if (owned.owner != nullptr && object.held == Hold::weak && object.held_raw) {
            owned.owner->spare();
        }
    }
}

ObjectTable::Number ObjectTable::add_in_place(void* address, Number type) {
    const Number added = size();
    if (is_on_own_stack(number(address))) {
        on_stack_.push_back(added);
    }
    objects_.push_back(
        {.address = address,
         .type = type,
         .pointee = pointee_,
         .in_place = true,
         .constructed = true}
    );
    return added;
}

ObjectTable::Number ObjectTable::add_pointee(void* address, Number type, Hold hold) {
    objects_.push_back(
        {.address = address,
         .type = type,
         .pointee = pointee_,
         .in_place = false,
         .constructed = false,
         .held_raw = hold == Hold::raw,
         .held = hold}
    );
    return size() - 1;
}

ObjectTable::Number ObjectTable::enter_pointee(Number pointee) noexcept {
    return std::exchange(pointee_, pointee);
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
    return known.address;
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
    std::erase_if(on_stack_, [&](Number i) {
        return i >= move.since && !is_on_own_stack(number(objects_[i].address));
    });
}

void ObjectTable::lose(Number since) noexcept {
    for (Number i = since; i < size(); ++i) {
        objects_[i].lost = true;
    }
}

void ObjectTable::lose_below(std::uintptr_t frame) {
    if (!is_on_own_stack(frame)) {
        return;
    }
    bool pointed_at = false;
    std::erase_if(on_stack_, [&](Number i) {
        const bool gone = number(objects_[i].address) < frame;
        pointed_at = pointed_at || (gone && objects_[i].held_raw);
        objects_[i].lost = objects_[i].lost || gone;
        return gone;
    });
    if (pointed_at) {
        throw_moved();
    }
}

}  // namespace mp::detail
