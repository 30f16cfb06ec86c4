// SPDX-License-Identifier: BSL-1.0
// Boost's registries of the classes behind pointers, and the ways into the full
// archive.
#include "mp/detail/full_archive.hpp"

#include "mp/errors.hpp"

#include <boost/archive/archive_exception.hpp>
#include <boost/archive/basic_archive.hpp>
#include <boost/archive/detail/basic_iserializer.hpp>
#include <boost/archive/detail/basic_oserializer.hpp>
#include <boost/archive/detail/basic_pointer_iserializer.hpp>
#include <boost/archive/detail/basic_pointer_oserializer.hpp>
#include <boost/archive/detail/basic_serializer.hpp>
#include <boost/serialization/extended_type_info_typeid.hpp>

#include <algorithm>
#include <set>
#include <utility>

namespace mp::detail {

namespace {

namespace arc = boost::archive;
using arc::detail::basic_serializer;
using boost::serialization::extended_type_info;

struct ByType {
    using is_transparent = void;

    bool operator()(const basic_serializer* a, const basic_serializer* b) const {
        return a->get_eti() < b->get_eti();
    }

    bool operator()(const basic_serializer* a, const extended_type_info& type) const {
        return a->get_eti() < type;
    }

    bool operator()(const extended_type_info& type, const basic_serializer* b) const {
        return type < b->get_eti();
    }
};

// As Boost's basic_serializer_map, which takes it for a bug to look for what is not
// there. Two shared libraries may bring the same class.
using Registry = std::multiset<const basic_serializer*, ByType>;

// Never destroyed: messages are written until the last static destructor.
Registry& savers() {
    static auto* const registry = new Registry;
    return *registry;
}

Registry& loaders() {
    static auto* const registry = new Registry;
    return *registry;
}

// Looks at each, and at no type: that may have been destroyed before the serializer.
void forget(Registry& registry, const basic_serializer* serializer) {
    const auto at = std::find(registry.begin(), registry.end(), serializer);
    if (at != registry.end()) {
        registry.erase(at);
    }
}

const basic_serializer* find(const Registry& registry, const extended_type_info& type) {
    const auto found = registry.find(type);
    return found == registry.end() ? nullptr : *found;
}

// Boost's registry of types answers only a class that derives from its entries.
class TypeFinder
    : public boost::serialization::typeid_system::extended_type_info_typeid_0 {
public:
    TypeFinder() : extended_type_info_typeid_0(nullptr) {}

    const extended_type_info* find(const std::type_info& type) const {
        return get_extended_type_info(type);
    }

    void* construct(unsigned, ...) const override { return nullptr; }

    void destroy(const void*) const override {}
};

const basic_serializer* find(const Registry& registry, const std::type_info& type) {
    static const auto* const finder = new TypeFinder;
    const extended_type_info* const known = finder->find(type);
    return known == nullptr ? nullptr : find(registry, *known);
}

const basic_serializer*
find_or_throw(const Registry& registry, const extended_type_info& type) {
    const basic_serializer* const found = find(registry, type);
    if (found == nullptr) {
        throw arc::archive_exception(
            arc::archive_exception::unregistered_class, type.get_debug_info()
        );
    }
    return found;
}

void note_pointer_class() {
    // order: none needed; see TrackedClass::is_saved_through_pointers.
    pointer_class_generation.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

// 1, so that an answer that was never given is out of date.
constinit std::atomic<std::uint64_t> pointer_class_generation{1};

bool TrackedClass::ask(std::uint64_t generation) noexcept {
    const bool saved = find(savers(), *type_) != nullptr;
    // order: none needed; see is_saved_through_pointers.
    answer_.store(generation << 1 | std::uint64_t{saved}, std::memory_order_relaxed);
    return saved;
}

std::unique_ptr<FullOut, DeleteFull> make_full(ByteWriter& out) {
    return std::unique_ptr<FullOut, DeleteFull>(new FullOut(out));
}

std::unique_ptr<FullIn, DeleteFull> make_full(ByteReader& in) {
    return std::unique_ptr<FullIn, DeleteFull>(new FullIn(in));
}

void DeleteFull::operator()(FullOut* full) const noexcept {
    delete full;
}

void DeleteFull::operator()(FullIn* full) const noexcept {
    delete full;
}

boost::serialization::library_version_type library_version() {
    return boost::archive::BOOST_ARCHIVE_VERSION();
}

void save_tracked(FullOut& full, const void* object, const std::type_info& type) {
    const auto* saver =
        static_cast<const arc::detail::basic_pointer_oserializer*>(find(savers(), type)
        );
    if (saver == nullptr) {
        throw arc::archive_exception(
            arc::archive_exception::unregistered_class, type.name()
        );
    }
    full.save_object(object, saver->get_basic_serializer());
}

void load_tracked(FullIn& full, void* object, const std::type_info& type) {
    const auto* loader =
        static_cast<const arc::detail::basic_pointer_iserializer*>(find(loaders(), type)
        );
    if (loader == nullptr) {
        throw arc::archive_exception(
            arc::archive_exception::unregistered_class, type.name()
        );
    }
    full.load_object(object, loader->get_basic_serializer());
}

void FullOut::save_object(const void* object, const basic_oserializer& type) {
    if (object == pointee_ && &type == pointee_type_) {  // counted as its pointer
        Base::save_object(object, type);
        return;
    }
    const Nesting nesting(Direction::encode, max_nested_in_graph);
    Base::save_object(object, type);
}

void FullOut::save_pointer(const void* object, const basic_pointer_oserializer* type) {
    const Nesting nesting(Direction::encode, max_nested_in_graph);
    const void* const outer = std::exchange(pointee_, object);
    const basic_oserializer* const outer_type =
        std::exchange(pointee_type_, &type->get_basic_serializer());
    // After an exception nobody asks for what it was.
    Base::save_pointer(object, type);
    pointee_ = outer;
    pointee_type_ = outer_type;
}

}  // namespace mp::detail

namespace boost::archive::detail {

using ::mp::detail::FullIn;
using ::mp::detail::FullOut;

template <>
bool archive_serializer_map<FullOut>::insert(const basic_serializer* bs) {
    ::mp::detail::note_pointer_class();
    ::mp::detail::savers().insert(bs);
    return true;
}

template <>
void archive_serializer_map<FullOut>::erase(const basic_serializer* bs) {
    ::mp::detail::note_pointer_class();
    ::mp::detail::forget(::mp::detail::savers(), bs);
}

template <>
const basic_serializer*
archive_serializer_map<FullOut>::find(const serialization::extended_type_info& type) {
    return ::mp::detail::find_or_throw(::mp::detail::savers(), type);
}

template <>
bool archive_serializer_map<FullIn>::insert(const basic_serializer* bs) {
    ::mp::detail::loaders().insert(bs);
    return true;
}

template <>
void archive_serializer_map<FullIn>::erase(const basic_serializer* bs) {
    ::mp::detail::forget(::mp::detail::loaders(), bs);
}

template <>
const basic_serializer*
archive_serializer_map<FullIn>::find(const serialization::extended_type_info& type) {
    return ::mp::detail::find_or_throw(::mp::detail::loaders(), type);
}

}  // namespace boost::archive::detail
