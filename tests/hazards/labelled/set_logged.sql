alter table imports set logged;
