// SPDX-License-Identifier: BSL-1.0
// How FullIn reads objects and pointers: what Boost's basic_iarchive does, with every
// number of the message checked.
#include "mp/detail/full_archive.hpp"
#include "mp/errors.hpp"

#include <boost/archive/archive_exception.hpp>
#include <boost/serialization/extended_type_info_typeid.hpp>
#include <boost/serialization/void_cast.hpp>

#include <algorithm>
#include <cxxabi.h>
#include <string>
#include <utility>

namespace mp::detail {

namespace {

namespace arc = boost::archive;
using boost::serialization::extended_type_info;
using boost::serialization::typeid_system::extended_type_info_typeid_0;

[[noreturn]] void throw_unregistered(const char* name) {
    throw arc::archive_exception(arc::archive_exception::unregistered_class, name);
}

/// Asked before an object is made, which Boost's casts need.
bool derives(const std::type_info& derived, const std::type_info& base) noexcept {
    if (derived == base) {
        return true;
    }
#ifdef __GLIBCXX__
    if (const auto* one = dynamic_cast<const abi::__si_class_type_info*>(&derived)) {
        return derives(*one->__base_type, base);
    }
    if (const auto* more = dynamic_cast<const abi::__vmi_class_type_info*>(&derived)) {
        return std::any_of(
            more->__base_info,
            more->__base_info + more->__base_count,
            [&](const auto& info) { return derives(*info.__base_type, base); }
        );
    }
    return false;
#else
    return true;  // the cast tells, once there is an object
#endif
}

bool may_be(const extended_type_info& type, const std::type_info& base) {
    const auto* known = dynamic_cast<const extended_type_info_typeid_0*>(&type);
    return known == nullptr || derives(known->get_typeid(), base);
}

unsigned newest_version(const basic_iserializer& type) {
    const arc::version_type version = type.version();
    return version;
}

}  // namespace

void FullIn::load_override(boost::serialization::collection_size_type& size) {
    Base::load_override(size);
    const std::size_t count = std::as_const(size);
    if (count > in_.left()) {
        throw_bad_length(count, in_.left());
    }
}

ObjectTable::Number FullIn::number_of(const basic_iserializer& type) {
    auto known = std::find_if(classes_.begin(), classes_.end(), [&](const Class& one) {
        return one.type == &type;
    });
    if (known == classes_.end()) {
        // By type: two shared libraries may bring the same class.
        known = std::find_if(classes_.begin(), classes_.end(), [&](const Class& one) {
            return one.type->get_eti() == type.get_eti();
        });
    }
    const auto number = static_cast<ObjectTable::Number>(known - classes_.begin());
    if (known == classes_.end()) {
        classes_.push_back({.type = &type, .pointee_type = type.get_bpis_ptr()});
    } else if (known->pointee_type == nullptr) {
        known->pointee_type = type.get_bpis_ptr();
    }
    return number;
}

void FullIn::describe(Class& known) {
    if (std::exchange(known.described, true)) {
        return;
    }
    if (!known.type->class_info()) {
        known.tracked = known.type->tracking(get_flags());
        known.version = newest_version(*known.type);
        return;
    }
    const auto tracked = in_.get_value<std::uint8_t>();
    if (tracked > 1) {
        throw_decode_error("a class is neither tracked nor not");
    }
    known.tracked = tracked != 0;
    known.version = in_.get_value<std::uint32_t>();
    const unsigned newest = newest_version(*known.type);
    if (known.version > newest) {
        const char* const name = known.type->get_debug_info();
        throw_newer_version(name != nullptr ? name : "a class", known.version, newest);
    }
}

ObjectTable::Number FullIn::get_object_number() {
    const auto number = in_.get_value<std::uint32_t>();
    if (number > objects_.size()) {
        throw_decode_error("a pointer to an object that is not there");
    }
    return number;
}

void FullIn::load_object(void* object, const basic_iserializer& type) {
    const bool never_tracked = std::exchange(never_tracked_, false);
    if (object == pointee_.address && &type == pointee_.type) {
        if (!std::exchange(pointee_.constructed, true)) {
            if (pointee_.number != ObjectTable::none) {
                objects_.constructed(pointee_.number);
            }
            if (*pointee_.asked != type.get_eti() &&
                boost::serialization::void_upcast(
                    type.get_eti(), *pointee_.asked, object
                ) == nullptr) {
                throw arc::archive_exception(
                    arc::archive_exception::unregistered_cast,
                    type.get_debug_info(),
                    pointee_.asked->get_debug_info()
                );
            }
        }
        type.load_object_data(*this, object, pointee_.version);
        return;
    }
    const Nesting nesting(Direction::decode, max_nested_in_graph);
    const ObjectTable::Number number = number_of(type);
    describe(classes_[number]);
    if (classes_[number].tracked && never_tracked) {
        throw_decode_error("an object has a number, but its class has none");
    }
    load_in_place(object, number);
}

void FullIn::load_in_place(void* object, ObjectTable::Number number) {
    const Class known = classes_[number];
    const ObjectTable::Number begin = objects_.size();
    if (known.tracked) {
        const ObjectTable::Number wanted = get_object_number();
        if (wanted < begin) {
            objects_.meet_in_place(wanted, object, number);
            return;
        }
        objects_.add_in_place(object, number);
    }
    try {
        known.type->load_object_data(*this, object, known.version);
    } catch (...) {
        objects_.lose(begin);
        throw;
    }
    forget_the_dead(begin);
    last_object_ = begin;
}

// A frame of its own, which begins where that of the function began that was called
// before.
[[gnu::noinline]] void FullIn::forget_the_dead(ObjectTable::Number since) {
    if (objects_.has_some_on_stack()) {
        objects_.lose_below(
            reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)), since
        );
    }
}

void FullIn::add_class(
    std::size_t number,
    const Asked& asked,
    const basic_pointer_iserializer* expected,
    const basic_pointer_iserializer* (*find)(const ExtendedType&)
) {
    const basic_pointer_iserializer* added = expected;
    if (asked.polymorphic) {
        std::string name;
        load(name);
        const extended_type_info* const type =
            name.empty() || name.size() >= BOOST_SERIALIZATION_MAX_KEY_SIZE
                ? nullptr
                : extended_type_info::find(name.c_str());
        if (type == nullptr) {
            throw_unregistered(name.c_str());
        }
        added = find(*type);
    }
    if (added == nullptr || number_of(added->get_basic_serializer()) != number) {
        throw_decode_error("a class has two numbers");
    }
    classes_[number].pointee_type = added;
}

const basic_pointer_iserializer* FullIn::load_pointer(
    void*& pointer,
    const basic_pointer_iserializer* expected,
    const basic_pointer_iserializer* (*find)(const ExtendedType&)
) {
    const Asked asked = std::exchange(asked_, Asked());
    const Nesting nesting(Direction::decode, max_nested_in_graph);
    const auto number = in_.get_value<std::int16_t>();
    constexpr std::int16_t null = -1;
    if (number == null) {
        pointer = nullptr;
        pointed_at_ = ObjectTable::none;
        return expected;
    }
    if (number < 0 || static_cast<std::size_t>(number) > classes_.size()) {
        throw_decode_error("a pointer of an impossible class");
    }
    const auto type = static_cast<ObjectTable::Number>(number);
    if (type == classes_.size()) {
        add_class(type, asked, expected, find);
    }
    const basic_pointer_iserializer* const found = classes_[type].pointee_type;
    if (found == nullptr) {
        throw_decode_error("a pointer of a class that has none");
    }
    if (found->get_eti() != *asked.type &&
        (!asked.polymorphic || !may_be(found->get_eti(), *asked.info))) {
        throw_decode_error("a pointer to an object of a class that it cannot point to");
    }
    describe(classes_[type]);
    if (!classes_[type].tracked &&
        found->get_basic_serializer().tracking(get_flags())) {
        throw_decode_error("a pointer to an object without a number");
    }
    pointer = load_pointee(type, asked);
    return found;
}

/// While it lives, `pointee_` is what it was given.
class FullIn::PointeeScope {
public:
    PointeeScope(FullIn& full, const Pointee& pointee)
        : full_(full),
          outer_(std::exchange(full.pointee_, pointee)),
          outer_place_(full.objects_.enter_pointee(pointee.number)) {}

    PointeeScope(const PointeeScope&) = delete;
    PointeeScope& operator=(const PointeeScope&) = delete;

    ~PointeeScope() {
        full_.pointee_ = outer_;
        full_.objects_.leave_pointee(outer_place_);
    }

    /// Where the pointer stands that is being read.
    const ObjectTable::Inside& outer_place() const noexcept { return outer_place_; }

private:
    FullIn& full_;
    Pointee outer_;
    ObjectTable::Inside outer_place_;
};

void* FullIn::load_pointee(ObjectTable::Number number, const Asked& asked) {
    const Class known = classes_[number];
    ObjectTable::Number object = ObjectTable::none;
    if (known.tracked) {
        object = get_object_number();
        if (object < objects_.size()) {
            void* const address = objects_.hold(object, number, asked.hold);
            pointed_at_ = object;
            return address;
        }
    }
    const ObjectTable::Number begin = objects_.size();
    void* const memory = known.pointee_type->heap_allocation();
    if (known.tracked) {
        objects_.add_pointee(memory, number, asked.hold);
    }
    const basic_iserializer& type = known.pointee_type->get_basic_serializer();
    const PointeeScope scope(
        *this,
        {.address = memory,
         .type = &type,
         .version = known.version,
         .number = object,
         .asked = asked.type}
    );
    try {
        known.pointee_type->load_object_ptr(*this, memory, known.version);
        if (object != ObjectTable::none) {
            objects_.constructed(object);
            if (asked.hold == Hold::unique || asked.hold == Hold::shared) {
                objects_.own(object, scope.outer_place());
            }
        }
        forget_the_dead(begin);
    } catch (...) {
        // What raw pointers name may have an owner that nobody here knows of. Memory
        // whose object was never made is left: its class may have its own way to free
        // it.
        const bool ours = asked.hold != Hold::raw && pointee_.constructed &&
                          (object == ObjectTable::none || !objects_.is_owned(object));
        objects_.lose(begin);
        if (ours) {
            type.destroy(memory);
        }
        throw;
    }
    pointed_at_ = object;
    return memory;
}

std::uint32_t objects_read(FullIn& full) noexcept {
    return full.objects().size();
}

std::uint32_t last_object(FullIn& full) noexcept {
    return full.last_object();
}

void note_move(FullIn& full, const ObjectMove& move) {
    full.objects().move(move);
}

void check_pointers_into(FullIn& full, const ReadValue& value) {
    full.objects().check_pointers_into(value);
}

void note_move_of_unknown(FullIn& full, const void* to, const void* from) {
    full.reset_object_address(to, from);
}

[[gnu::noinline]] void note_return(FullIn& full, std::uint32_t since) {
    full.set_last_object(since);
    if (full.objects().has_some_on_stack()) {
        full.objects().lose_below(
            reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)), since
        );
    }
}

}  // namespace mp::detail
